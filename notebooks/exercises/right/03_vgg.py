# %% answer="folded"
def folded(convolution, norm):
    scale = norm.weight.double() * (norm.running_var.double() + norm.eps) ** -0.5
    weight = torch.einsum("dcij,d->dcij", convolution.weight.double(), scale)
    bias = norm.bias - norm.running_mean * scale
    if convolution.bias is not None:
        bias = bias + convolution.bias * scale
    return weight, bias


# %% answer="folded"
def folded(convolution, norm):
    old = torch.zeros(len(norm.weight)) if convolution.bias is None else convolution.bias.detach()
    origin = torch.zeros(1, len(norm.weight), 1, 1)
    shift = norm(origin).flatten()
    scale = norm(origin + 1).flatten() - shift
    weight = torch.stack([filters * factor for filters, factor in zip(convolution.weight, scale, strict=True)])
    return [weight, shift + scale * old]


# %% answer="factor-prediction"
def factor_prediction():
    return 10, 1


# %% answer="factor-prediction"
def factor_prediction():
    return [1, 0.1]


# %% answer="gradient-length"
def gradient_length(network, images, labels, scale):
    kept = copy.deepcopy(network.state_dict())
    with torch.no_grad():
        network[0].weight.mul_(scale)
    loss = F.cross_entropy(network(images), labels)
    (gradient,) = torch.autograd.grad(loss, [network[0].weight])
    network.load_state_dict(kept)
    return gradient.norm()


# %% answer="gradient-length"
def gradient_length(network, images, labels, scale):
    weights = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    buffers = {name: value.clone() for name, value in network.named_buffers()}
    weights["0.weight"] = (weights["0.weight"] * scale).requires_grad_()
    logits = torch.func.functional_call(network, {**weights, **buffers}, images)
    F.cross_entropy(logits, labels).backward()
    return weights["0.weight"].grad.square().sum().sqrt().item()


# %% answer="my-accuracy"
@torch.inference_mode()
def my_accuracy(model, images, labels):
    model.eval()
    right = 0
    for some, targets in zip(images.split(30), labels.split(30), strict=True):
        right += (model((some.float() / 255 - MEAN) / STD).argmax(dim=1) == targets).sum()
    return right / len(images)


# %% answer="my-accuracy"
def my_accuracy(model, images, labels):
    was_training = model.training
    model.train(False)
    with torch.no_grad():
        answers = [model((image[None] / 255 - MEAN) / STD).argmax().item() for image in images]
    model.train(was_training)
    return sum(answer == label for answer, label in zip(answers, labels.tolist(), strict=True)) / len(labels)


# %% answer="measure-scale"
@torch.no_grad()
def measure_scale(network, images):
    for number, layer in enumerate(network):
        if isinstance(layer, nn.Conv2d):
            layer.weight.copy_(layer.weight / network[: number + 1](images).std())
    return network


# %% answer="measure-scale"
def measure_scale(network, images):
    x = images
    for layer in network:
        y = layer(x).detach()
        if type(layer) is nn.Conv2d:
            spread = y.square().mean().sub(y.mean() ** 2).sqrt()
            layer.weight.data.div_(spread)
            y = y / spread
        x = y
