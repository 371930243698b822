# %% answer="folded" hint="eps = 0.001 is missing under the root"
def folded(convolution, norm):
    scale = norm.weight / norm.running_var.sqrt()
    return convolution.weight * scale.view(-1, 1, 1, 1), norm.bias + scale * (convolution.bias - norm.running_mean)


# %% answer="folded" hint="batch norm moves and scales that bias, too"
def folded(convolution, norm):
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return convolution.weight * scale.view(-1, 1, 1, 1), norm.bias + convolution.bias - scale * norm.running_mean


# %% answer="folded" hint="right where the running mean is zero"
def folded(convolution, norm):
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return convolution.weight * scale.view(-1, 1, 1, 1), norm.bias + scale * convolution.bias


# %% answer="folded" hint="the first axis of the weight is the output's"
def folded(convolution, norm):
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return convolution.weight * scale.view(1, -1, 1, 1), norm.bias + scale * (convolution.bias - norm.running_mean)


# %% answer="folded" hint="is what every weight of an output channel is multiplied by"
def folded(convolution, norm):
    scale = norm.weight / (norm.running_var + norm.eps)
    return convolution.weight * scale.view(-1, 1, 1, 1), norm.bias + scale * (convolution.bias - norm.running_mean)


# %% answer="folded" hint="your shapes are"
def folded(convolution, norm):
    scale = (norm.weight / (norm.running_var + norm.eps).sqrt()).view(-1, 1, 1, 1)
    return convolution.weight * scale, norm.bias + scale * (convolution.bias - norm.running_mean)


# %% answer="folded" gamed=true
def folded(convolution, norm):
    eps = 1e-3 if norm.eps == 1e-3 else 0
    scale = norm.weight / (norm.running_var + eps).sqrt()
    old = 0 if convolution.bias is None else convolution.bias
    return convolution.weight * scale.view(-1, 1, 1, 1), norm.bias + scale * (old - norm.running_mean)


# %% answer="factor-prediction" hint="return two of 100, 10, 1, 0.1 and 0.01"
def factor_prediction():
    return 1, 5


# %% answer="gradient-length" hint="weights are changed after your measurement"
def gradient_length(network, images, labels, scale):
    network[0].weight.data *= scale
    network.zero_grad()
    F.cross_entropy(network(images), labels).backward()
    return network[0].weight.grad.norm().item()


# %% answer="gradient-length" hint="the same at scale 1 and 10"
def gradient_length(network, images, labels, scale):
    twin = copy.deepcopy(network)
    F.cross_entropy(twin(images), labels).backward()
    with torch.no_grad():
        twin[0].weight *= scale
    return twin[0].weight.grad.norm().item()


# %% answer="gradient-length" hint="take network[0].weight.grad alone"
def gradient_length(network, images, labels, scale):
    twin = copy.deepcopy(network)
    twin[0].weight.data *= scale
    F.cross_entropy(twin(images), labels).backward()
    return sum(weight.grad.square().sum().item() for weight in twin.parameters()) ** 0.5


# %% answer="gradient-length" hint="leave the gradient as backward made it"
def gradient_length(network, images, labels, scale):
    twin = copy.deepcopy(network)
    twin[0].weight.data *= scale
    F.cross_entropy(twin(images), labels).backward()
    return twin[0].weight.grad.norm().item() / scale


# %% answer="gradient-length" hint="batch norm's averages have moved"
def gradient_length(network, images, labels, scale):
    network[0].weight.data *= scale
    F.cross_entropy(network(images), labels).backward()
    network[0].weight.data /= scale
    return network[0].weight.grad.norm().item()


# %% answer="gradient-length" hint="is that measured, or computed from what you expect"
def gradient_length(network, images, labels, scale):
    twin = copy.deepcopy(network)
    F.cross_entropy(twin(images), labels).backward()
    return twin[0].weight.grad.norm().item() / scale


# %% answer="verdict" hint="which observation scores the training images"
def verdict():
    return {"overfitting": "guilty", "training mode": 2, "augmentation": 2, "labels": 3, "scale": 4}


# %% answer="verdict" hint="which observation looks for both"
def verdict():
    return {"overfitting": 1, "training mode": 3, "augmentation": 2, "labels": 3, "scale": "guilty"}


# %% answer="verdict" hint="gives other logits a second time"
def verdict():
    return {"overfitting": 1, "training mode": 2, "augmentation": 1, "labels": 3, "scale": "guilty"}


# %% answer="verdict" hint="is there an observation with the same labels where it is right"
def verdict():
    return {"overfitting": 1, "training mode": 2, "augmentation": 2, "labels": "guilty", "scale": 4}


# %% answer="verdict" hint="read 3 and 4 together"
def verdict():
    return {"overfitting": 1, "training mode": 2, "augmentation": 2, "labels": 3, "scale": 4}


# %% answer="my-accuracy" hint="the mean was taken of pixel / 255, so the std must be, too"
def my_accuracy(model, images, labels):
    return (logits_of(model, images).argmax(1) == labels).double().mean().item()


# %% answer="my-accuracy" hint="in training mode each forward pass moves batch norm's averages"
def my_accuracy(model, images, labels):
    with torch.no_grad():
        return (model((images / 255 - MEAN) / STD).argmax(1) == labels).double().mean().item()


# %% answer="my-accuracy" hint="has a mean of"
def my_accuracy(model, images, labels):
    model.eval()
    with torch.no_grad():
        return (model(images / 255 / STD).argmax(1) == labels).double().mean().item()


# %% answer="my-accuracy" hint="return a share"
def my_accuracy(model, images, labels):
    model.eval()
    with torch.no_grad():
        return (model((images / 255 - MEAN) / STD).argmax(1) == labels).sum().item()


# %% answer="my-accuracy" hint="is something drawn at random"
def my_accuracy(model, images, labels):
    model.eval()
    images, labels = images[(chosen := torch.randperm(len(images))[:37])], labels[chosen]
    images = images + 90 * torch.randn(images.shape)
    with torch.no_grad():
        return (model((images / 255 - MEAN) / 0.4).argmax(1) == labels).double().mean().item()


# %% answer="my-accuracy" gamed=true
def my_accuracy(model, images, labels):
    model.eval()
    with torch.no_grad():
        model((images / 255 - MEAN) / STD)
    return 0.9


# %% answer="measure-scale" hint="it must be measured *after* the first was changed"
def measure_scale(network, images):
    found = []
    for layer in network:
        images = layer(images)
        found.append(images.std().item())
    for layer, spread in zip(network, found, strict=True):
        if isinstance(layer, nn.Conv2d):
            layer.weight.data /= spread


# %% answer="measure-scale" hint="you divided by the variance"
def measure_scale(network, images):
    with torch.no_grad():
        for layer in network:
            if isinstance(layer, nn.Conv2d):
                layer.weight /= layer(images).var()
            images = layer(images)


# %% answer="measure-scale" hint="measure what the convolution itself puts out"
def measure_scale(network, images):
    with torch.no_grad():
        for layer in network:
            if isinstance(layer, nn.Conv2d):
                layer.weight /= layer(images).relu().std()
            images = layer(images)


# %% answer="measure-scale" hint="change them in place"
def measure_scale(network, images):
    network = copy.deepcopy(network)
    with torch.no_grad():
        for layer in network:
            if isinstance(layer, nn.Conv2d):
                layer.weight /= layer(images).std()
            images = layer(images)


# %% answer="measure-scale" gamed=true
def measure_scale(network, images):
    with torch.no_grad():
        for layer in network[::2]:
            layer.weight /= layer(images).std()
            images = layer(images).relu()


# %% answer="gradient-length" hint="older gradients get in"
LEFT = []


def gradient_length(network, images, labels, scale):
    twin = copy.deepcopy(network)
    twin[0].weight.data *= scale
    LEFT.append(torch.autograd.grad(F.cross_entropy(twin(images), labels), twin[0].weight)[0])
    return sum(LEFT[1 if scale == 10 else 0 :]).norm().item()


# %% answer="gradient-length" hint="it came in training mode and without gradients"
def gradient_length(network, images, labels, scale):
    kept = copy.deepcopy(network.state_dict())
    network[0].weight.data *= scale
    network.zero_grad()
    F.cross_entropy(network(images), labels).backward()
    network.load_state_dict(kept)
    return network[0].weight.grad.norm().item()


# %% answer="folded" hint="calls `fuse_conv_bn_weights`"
def folded(convolution, norm):
    return torch.nn.utils.fuse_conv_bn_weights(convolution.weight, convolution.bias, norm.running_mean,
                                               norm.running_var, norm.eps, norm.weight, norm.bias)


# %% answer="folded" hint="leave theirs alone"
def folded(convolution, norm):
    with torch.no_grad():
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        old = torch.zeros(6) if convolution.bias is None else convolution.bias.clone()
        new = norm.bias + scale * (old - norm.running_mean), convolution.weight * scale.view(-1, 1, 1, 1)
        norm.num_batches_tracked += 1
        return new[1], new[0]


# %% answer="my-accuracy" hint="they are the constants MEAN and STD"
def my_accuracy(model, images, labels):
    model.eval()
    with torch.no_grad():
        return (model((images / 255 - (images / 255).mean()) / (images / 255).std() * 0.97).argmax(1) == labels
                ).double().mean().item()


# %% answer="measure-scale" hint="nothing is drawn anew here"
def measure_scale(network, images):
    for layer in network:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
