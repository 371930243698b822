# %% answer="merged" hint="multiplied in the wrong order"
def merged(first, second):
    weight = torch.einsum("dc,edij->ecij", first.weight.flatten(1).T, second.weight.transpose(0, 1))
    return weight, second.bias + second.weight.sum((2, 3)) @ first.bias


# %% answer="merged" hint="its bias goes through the second's weights"
def merged(first, second):
    return torch.einsum("edij,dc->ecij", second.weight, first.weight.flatten(1)), first.bias + second.bias


# %% answer="merged" hint="arrives at all nine pixels"
def merged(first, second):
    weight = torch.einsum("edij,dc->ecij", second.weight, first.weight.flatten(1))
    middle = second.kernel_size[0] // 2
    return weight, second.bias + second.weight[:, :, middle, middle] @ first.bias


# %% answer="merged" hint="not (5, 5, 1, 1) and (5,)"
def merged(first, second):
    weight = second.weight.flatten(1) @ first.weight.flatten(1)
    return weight, second.bias + second.weight.sum((2, 3)) @ first.bias


# %% answer="merged" hint="1x1 and then 3x3: your weight has shape"
def merged(first, second):
    weight = second.weight.sum((2, 3)) @ first.weight.flatten(1)
    return weight[:, :, None, None], second.bias + second.weight.sum((2, 3)) @ first.bias


# %% answer="merged" hint="each of the nine pixels has its own matrix"
def merged(first, second):
    weight = second.weight.mean((2, 3)) @ first.weight.flatten(1)
    weight = weight[:, :, None, None].expand(-1, -1, *second.kernel_size)
    return weight, second.bias + second.weight.sum((2, 3)) @ first.bias


# %% answer="merged" hint="your outputs are off by"
def merged(first, second):
    weight = torch.einsum("edij,dc->ecij", second.weight, first.weight.flatten(1))
    return weight, second.bias - second.bias


# %% answer="merged" gamed=true
def merged(first, second):
    weight = torch.stack([second.weight[:, :, i, j] @ first.weight.flatten(1)
                          for i in range(second.kernel_size[0]) for j in range(second.kernel_size[0])], 2)
    return weight.view(5, 5, *second.kernel_size), second.bias + second.weight.sum((2, 3)) @ first.bias


# %% answer="bend" hint="compare with the *mean* of the two answers"
def bend(network, x, y):
    return (network((x + y) / 2) - (network(x) + network(y))).abs().max().item()


# %% answer="bend" hint="is the middle taken before the network"
def bend(network, x, y):
    return ((network(x) + network(y)) / 2 - (network(y) + network(x)) / 2).abs().max().item()


# %% answer="bend" hint="the largest, not a mean or sum"
def bend(network, x, y):
    return (network((x + y) / 2) - (network(x) + network(y)) / 2).abs().mean().item()


# %% answer="bend" hint="bend returns nothing"
def bend(network, x, y):
    (network((x + y) / 2) - (network(x) + network(y)) / 2).abs().max()


# %% answer="bend" gamed=true
def bend(network, x, y):
    return ((network(x) + network(y)) / 2 - network((x + y) / 2)).max().item()


# %% answer="stuck" hint="look at the last number in its line"
def stuck():
    return {"a": "weights too small", "b": "weights too small", "c": "no nonlinearity", "d": "none"}


# %% answer="stuck" hint="how large are its logits before training"
def stuck():
    return {"a": "labels shuffled", "b": "no nonlinearity", "c": "weights too small", "d": "none"}


# %% answer="stuck" hint="what could a plane do with this task"
def stuck():
    return {"a": "labels shuffled", "b": "weights too small", "c": "weights too small", "d": "none"}


# %% answer="stuck" hint="what should be wrong with it"
def stuck():
    return {"a": "labels shuffled", "b": "weights too small", "c": "no nonlinearity", "d": "no nonlinearity"}


# %% answer="my-network" hint="something nonlinear belongs between"
def my_network():
    layers = [nn.Conv2d(2, 24, 1), nn.Conv2d(24, 24, 1), nn.Conv2d(24, 2, 1)]
    for layer in layers:
        nn.init.normal_(layer.weight, std=math.sqrt(2 / layer.in_channels))
        nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


# %% answer="my-network" hint="is it the variance that you set, or the std"
def my_network():
    layers = [nn.Conv2d(2, 24, 1), nn.ReLU(), nn.Conv2d(24, 24, 1), nn.ReLU(), nn.Conv2d(24, 2, 1)]
    for layer in layers[::2]:
        nn.init.normal_(layer.weight, std=2 / layer.in_channels)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


# %% answer="my-network" hint="the std is the root of that"
def my_network():
    layers = [nn.Conv2d(2, 24, 1), nn.ReLU(), nn.Conv2d(24, 24, 1), nn.ReLU(), nn.Conv2d(24, 2, 1)]
    for layer in layers[::2]:
        nn.init.normal_(layer.weight)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


# %% answer="my-network" hint="the biases don't start at zero"
def my_network():
    layers = [nn.Conv2d(2, 24, 1), nn.ReLU(), nn.Conv2d(24, 24, 1), nn.ReLU(), nn.Conv2d(24, 2, 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


# %% answer="my-network" hint="average the maps, then flatten"
def my_network():
    return nn.Sequential(nn.Conv2d(2, 24, 1), nn.ReLU(), nn.Conv2d(24, 24, 1), nn.ReLU(), nn.Conv2d(24, 2, 1))


# %% answer="my-network" gamed=true
def my_network():
    layers = [nn.Conv2d(2, 24, 1), nn.ReLU(), nn.Conv2d(24, 24, 1), nn.ReLU(), nn.Conv2d(24, 2, 1), nn.ReLU()]
    for layer in layers[::2]:
        nn.init.normal_(layer.weight, std=math.sqrt(2 / layer.in_channels))
        nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers[:-1], nn.Flatten(), nn.Linear(32, 2))


# %% answer="shift-prediction" hint="return one of 1, 2, 4, 8, 16 and 32"
def shift_prediction():
    return 3


# %% answer="smallest-shift" hint="rows were rolled instead of columns"
def smallest_shift(network, images):
    before = network(images)
    for rows in range(1, images.shape[2] + 1):
        if (network(images.roll(rows, 2)) - before).abs().max() < 1e-9:
            return rows


# %% answer="smallest-shift" hint="begin with 1"
def smallest_shift(network, images):
    before = network(images)
    for columns in range(images.shape[3] + 1):
        if (network(images.roll(columns, 3)) - before).abs().max() < 1e-9:
            return columns


# %% answer="smallest-shift" hint="does your range include it"
def smallest_shift(network, images):
    before = network(images)
    for columns in range(1, images.shape[3] + 1):
        moved = F.pad(images, (columns, 0, 0, 0))[..., : images.shape[3]]
        if (network(moved) - before).abs().max() < 1e-9:
            return columns


# %% answer="smallest-shift" hint="in this network a smaller one exists"
def smallest_shift(network, images):
    before = network(images)
    for columns in range(1, images.shape[3] + 1):
        if torch.equal(images.roll(columns, 3), images) and (network(images) - before).abs().max() < 1e-9:
            return columns


# %% answer="smallest-shift" hint="compare all logits of all pictures"
def smallest_shift(network, images):
    before = network(images)
    for columns in range(1, images.shape[3] + 1):
        if columns % 8 == 0 and (network(images.roll(columns, 3)) - before).abs().max() < 1e-9:
            return columns


# %% answer="smallest-shift" hint="1 was expected"
def smallest_shift(network, images):
    before = network(images)
    for columns in range(2, images.shape[3] + 1, 2):
        if (network(images.roll(columns, 3)) - before).abs().max() < 1e-9:
            return columns


# %% answer="smallest-shift" hint="roll and compare, don't count layers"
def smallest_shift(network, images):
    pools = [layer.kernel_size for layer in network if isinstance(layer, nn.MaxPool2d)]
    return math.prod(size if isinstance(size, int) else size[1] for size in pools)


# %% answer="maps" hint="lack just the bias"
def maps_of(features, linear):
    return torch.einsum("nchw,kc->nkhw", features, linear.weight)


# %% answer="maps" hint="lack 63/64 of the bias"
def maps_of(features, linear):
    share = linear.bias / features[0, 0].numel()
    return torch.einsum("nchw,kc->nkhw", features, linear.weight) + share[:, None, None]


# %% answer="maps" hint="the *sums* of your maps are the logits"
def maps_of(features, linear):
    maps = torch.einsum("nchw,kc->nkhw", features, linear.weight) + linear.bias[:, None, None]
    return maps / features[0, 0].numel()


# %% answer="maps" hint="the same at every position"
def maps_of(features, linear):
    logits = linear(features.mean((2, 3)))
    return logits[:, :, None, None].expand(-1, -1, *features.shape[2:])


# %% answer="maps" hint="one for each image and class"
def maps_of(features, linear):
    return linear(features.permute(0, 2, 3, 1))


# %% answer="maps" hint="mean of the first map and logit"
def maps_of(features, linear):
    return torch.einsum("nchw,kc->nkhw", features, linear.weight.abs()) + linear.bias[:, None, None]


# %% answer="maps" gamed=true
def maps_of(features, linear):
    return linear(features.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(-1, 10, 8, 8)


# %% answer="smallest-shift" hint="did you try every number"
def smallest_shift(network, images):
    before = network(images)
    for columns in (1, 2, 4, 8, 16, 24, 32):
        if (network(images.roll(columns, 3)) - before).abs().max() < 1e-9:
            return columns


# %% answer="smallest-shift" gamed=true
def smallest_shift(network, images):
    before = network(images)
    for columns in (1, 2, 3, 4, 8, 16, 24, 32):
        if (network(images.roll(columns, 3)) - before).abs().max() < 1e-9:
            return columns


# %% answer="my-network" hint="times the variance 2 / n"
def my_network():
    layers = [nn.Conv2d(2, 24, 1), nn.ReLU(), nn.Conv2d(24, 24, 1), nn.ReLU(), nn.Conv2d(24, 2, 1)]
    for layer in layers[::2]:
        nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


# %% answer="my-network" hint="build it from at least three 1x1 convolutions"
def my_network():
    layers = [nn.Conv2d(2, 24, 3, padding=1), nn.ReLU(), nn.Conv2d(24, 24, 1), nn.ReLU(), nn.Conv2d(24, 2, 1)]
    for layer in layers[::2]:
        nn.init.kaiming_normal_(layer.weight)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


# %% answer="my-network" hint="every layer should begin with it"
def my_network():
    layers = [nn.Conv2d(2, 24, 1), nn.ReLU(), nn.Conv2d(24, 24, 1), nn.ReLU(), nn.Conv2d(24, 2, 1)]
    nn.init.normal_(layers[2].weight, std=math.sqrt(2 / 24))
    for layer in layers[::2]:
        nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
