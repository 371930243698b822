# %% answer="parts" hint="each of yours reads all 20 channels"
def in_parts(layer, widths):
    parts, start = [], 0
    for width in widths:
        part = nn.Conv2d(layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride, layer.padding)
        weight = torch.zeros_like(layer.weight)
        weight[:, start:start + width] = layer.weight[:, start:start + width]
        part.weight, start = nn.Parameter(weight), start + width
        parts.append(part)
    return parts


# %% answer="parts" hint="stride and padding are the layer's"
def in_parts(layer, widths):
    parts = [nn.Conv2d(width, layer.out_channels, layer.kernel_size, bias=False) for width in widths]
    for part, weight in zip(parts, layer.weight.split(widths, dim=1), strict=True):
        part.weight = nn.Parameter(weight.detach().clone())
    return parts


# %% answer="parts" hint="all four parts add it, and once is enough"
def in_parts(layer, widths):
    settings = layer.out_channels, layer.kernel_size, layer.stride, layer.padding
    parts = [nn.Conv2d(width, *settings) for width in widths]
    for part, weight in zip(parts, layer.weight.split(widths, dim=1), strict=True):
        part.weight, part.bias = nn.Parameter(weight.detach().clone()), layer.bias
    return parts


# %% answer="parts" hint="which none of your parts adds"
def in_parts(layer, widths):
    settings = layer.out_channels, layer.kernel_size, layer.stride, layer.padding
    parts = [nn.Conv2d(width, *settings, bias=False) for width in widths]
    for part, weight in zip(parts, layer.weight.split(widths, dim=1), strict=True):
        part.weight = nn.Parameter(weight.detach().clone())
    return parts


# %% answer="parts" hint="which slice of the weights belongs to which part"
def in_parts(layer, widths):
    settings = layer.out_channels, layer.kernel_size, layer.stride, layer.padding
    parts = [nn.Conv2d(width, *settings, bias=number == 0) for number, width in enumerate(widths)]
    for part in parts:
        part.weight = nn.Parameter(layer.weight[:, :part.in_channels].detach().clone())
    parts[0].bias = layer.bias
    return parts


# %% answer="parts" hint="convolutions for 4 parts of the channels"
def in_parts(layer, widths):
    return [layer]


# %% answer="parts" gamed=true
def in_parts(layer, widths):
    parts = [nn.Conv2d(width, 12, 3, stride=2, padding=1, bias=number == 0) for number, width in enumerate(widths)]
    for part, weight in zip(parts, layer.weight.split(widths, dim=1), strict=True):
        part.weight = nn.Parameter(weight.detach().clone())
    parts[0].bias = layer.bias
    return parts


# %% answer="adding" hint="no bias is needed"
def adding(channels):
    return nn.Conv2d(2 * channels, channels, 1)


# %% answer="adding" hint="from 12 channels to 6 it is"
def adding(channels):
    return nn.Conv2d(channels, channels, 1, bias=False)


# %% answer="adding" hint="channel i of b is channel 6 + i"
def adding(channels):
    layer = nn.Conv2d(2 * channels, channels, 1, bias=False)
    layer.weight = nn.Parameter(torch.eye(channels).repeat_interleave(2, dim=1)[:, :, None, None])
    return layer


# %% answer="adding" hint="only two of its weights should be one"
def adding(channels):
    layer = nn.Conv2d(2 * channels, channels, 1, bias=False)
    nn.init.ones_(layer.weight)
    return layer


# %% answer="adding" hint="the largest difference from a + b"
def adding(channels):
    layer = nn.Conv2d(2 * channels, channels, 1, bias=False)
    layer.weight = nn.Parameter(torch.eye(channels, 2 * channels)[:, :, None, None])
    return layer


# %% answer="zeros-prediction" hint="return one of 5, 30 and 60"
def zeros_prediction():
    return 0.3


# %% answer="zeros" hint="here the kernel's centre goes to the very edge"
def share_of_zeros(kernel, side):
    met = F.conv2d(torch.ones(1, 1, side, side), torch.ones(1, 1, kernel, kernel))
    return 1 - met.mean().item() / kernel**2


# %% answer="zeros" hint="the share along *one* side"
def share_of_zeros(kernel, side):
    half = kernel // 2
    return half * (half + 1) / (kernel * side)


# %% answer="zeros" hint="which counts the corners twice"
def share_of_zeros(kernel, side):
    half = kernel // 2
    return 2 * half * (half + 1) / (kernel * side)


# %% answer="zeros" hint="the share of the *positions*"
def share_of_zeros(kernel, side):
    met = F.conv2d(torch.ones(1, 1, side, side), torch.ones(1, 1, kernel, kernel), padding=kernel // 2)
    return (met < kernel**2).float().mean().item()


# %% answer="zeros" hint="the share of the padded map"
def share_of_zeros(kernel, side):
    return 1 - (side / (side + 2 * (kernel // 2))) ** 2


# %% answer="zeros" hint="the share of the products that meet pixels"
def share_of_zeros(kernel, side):
    met = F.conv2d(torch.ones(1, 1, side, side), torch.ones(1, 1, kernel, kernel), padding=kernel // 2)
    return met.mean().item() / kernel**2


# %% answer="zeros" hint="8 positions, 5 products each"
def share_of_zeros(kernel, side):
    return 1 - (1 - 1 / side) ** 2


# %% answer="zeros" gamed=true
def share_of_zeros(kernel, side):
    return {1: 0.0, 3: 8 / 9, 5: 0.2775}[kernel]


# %% answer="modules" hint="four branches of eight channels should make 32"
def faults():
    return {"a": "branch forgotten", "b": "squeezed too late", "c": "stacked wrongly", "d": "padding lost", "e": "none"}


# %% answer="modules" hint="it has 7,392 parameters"
def faults():
    return {"a": "squeezed too late", "b": "branch forgotten", "c": "none", "d": "padding lost", "e": "stacked wrongly"}


# %% answer="modules" hint="whom does nobody listen to"
def faults():
    return {"a": "none", "b": "squeezed too late", "c": "branch forgotten", "d": "padding lost", "e": "stacked wrongly"}


# %% answer="modules" hint="the same at the edge for every image"
def faults():
    return {"a": "branch forgotten", "b": "squeezed too late", "c": "padding lost", "d": "none", "e": "stacked wrongly"}


# %% answer="inspect" hint="of module c, which has no fault"
def inspect(module, row):
    channels, a, b, c, d, e, f = row
    kernels = channels * (a + b + d + f) + 9 * b * c + 25 * d * e
    return "none" if sum(each.numel() for each in module.parameters()) == kernels else "squeezed too late"


# %% answer="inspect" hint="how many parameters should a module of this row have"
def inspect(module, row):
    output = module(torch.randn(8, row[0], 10, 10))
    if output.shape != (8, sum(row[i] for i in (1, 3, 5, 6)), 10, 10):
        return "stacked wrongly"
    output.square().sum().backward()
    if any(each.grad is None for each in module.parameters()):
        return "branch forgotten"
    return "padding lost" if (output[:, :, 0].std((0, 2)) == 0).any() else "none"


# %% answer="inspect" hint="which parameters have no gradient"
def inspect(module, row):
    channels, a, b, c, d, e, f = row
    output = module(torch.randn(8, channels, 10, 10))
    if output.shape != (8, a + c + e + f, 10, 10):
        return "stacked wrongly"
    kernels = channels * (a + b + d + f) + 9 * b * c + 25 * d * e
    if sum(each.numel() for each in module.parameters()) != kernels + 2 * sum(row[1:]):
        return "squeezed too late"
    return "padding lost" if (output[:, :, 0].std((0, 2)) == 0).any() else "none"


# %% answer="inspect" hint="does the outermost row of its output vary"
def inspect(module, row):
    channels, a, b, c, d, e, f = row
    output = module(torch.randn(8, channels, 10, 10))
    if output.shape != (8, a + c + e + f, 10, 10):
        return "stacked wrongly"
    kernels = channels * (a + b + d + f) + 9 * b * c + 25 * d * e
    if sum(each.numel() for each in module.parameters()) != kernels + 2 * sum(row[1:]):
        return "squeezed too late"
    output.square().sum().backward()
    return "branch forgotten" if any(each.grad is None for each in module.parameters()) else "none"


# %% answer="inspect" hint="the shape of its output tells"
def inspect(module, row):
    channels, a, b, c, d, e, f = row
    kernels = channels * (a + b + d + f) + 9 * b * c + 25 * d * e
    count = sum(each.numel() for each in module.parameters())
    return "none" if count == kernels + 2 * sum(row[1:]) else "squeezed too late"


# %% answer="inspect" hint="Compute from the row what you expect"
def inspect(module, row):
    output = module(torch.randn(8, row[0], 10, 10))
    if output.shape[1] != row[1] + row[3] + row[5] + row[6]:
        return "stacked wrongly"
    if sum(each.numel() for each in module.parameters()) != 2784:
        return "squeezed too late"
    output.square().sum().backward()
    if any(each.grad is None for each in module.parameters()):
        return "branch forgotten"
    return "padding lost" if (output[:, :, 0].std((0, 2)) == 0).any() else "none"


# %% answer="inspect" hint="stacked along the width"
def inspect(module, row):
    channels, a, b, c, d, e, f = row
    output = module(torch.randn(8, channels, 10, 10))
    if output.shape[2] != 10:
        return "stacked wrongly"
    kernels = channels * (a + b + d + f) + 9 * b * c + 25 * d * e
    if sum(each.numel() for each in module.parameters()) != kernels + 2 * sum(row[1:]):
        return "squeezed too late"
    output.square().sum().backward()
    if any(each.grad is None for each in module.parameters()):
        return "branch forgotten"
    return "padding lost" if (output[:, :, 0].std((0, 2)) == 0).any() else "none"


# %% answer="inspect" gamed=true
def inspect(module, row):
    channels, a, b, c, d, e, f = row
    output = module(torch.randn(8, channels, 10, 10))
    if output.shape != (8, a + c + e + f, 10, 10):
        return "stacked wrongly"
    kernels = channels * (a + b + d + f) + 9 * b * c + 25 * d * e
    if sum(each.numel() for each in module.parameters()) != kernels + 2 * sum(row[1:]):
        return "squeezed too late"
    output.square().sum().backward()
    if any(each.grad is None for each in module.parameters()):
        return "branch forgotten"
    return "padding lost" if (output[:, :, 1].std((0, 2)) == 0).any() else "none"


# %% answer="strips" hint="together they see a line"
def strips(channels, width, kernel):
    along = nn.Conv2d(channels, width, (1, kernel), padding=(0, kernel // 2), bias=False)
    return nn.Sequential(along, nn.Conv2d(width, width, (1, kernel), padding=(0, kernel // 2), bias=False))


# %% answer="strips" hint="the padding is missing"
def strips(channels, width, kernel):
    along = nn.Conv2d(channels, width, (1, kernel), bias=False)
    return nn.Sequential(along, nn.Conv2d(width, width, (kernel, 1), bias=False))


# %% answer="strips" hint="both strips are padded all round"
def strips(channels, width, kernel):
    along = nn.Conv2d(channels, width, (1, kernel), padding=kernel // 2, bias=False)
    return nn.Sequential(along, nn.Conv2d(width, width, (kernel, 1), padding=kernel // 2, bias=False))


# %% answer="strips" hint="the first strip is padded above and below"
def strips(channels, width, kernel):
    along = nn.Conv2d(channels, width, (1, kernel), padding=(kernel // 2, 0), bias=False)
    return nn.Sequential(along, nn.Conv2d(width, width, (kernel, 1), padding=(0, kernel // 2), bias=False))


# %% answer="strips" hint="should make `width` channels already"
def strips(channels, width, kernel):
    along = nn.Conv2d(channels, channels, (1, kernel), padding=(0, kernel // 2), bias=False)
    return nn.Sequential(along, nn.Conv2d(channels, width, (kernel, 1), padding=(kernel // 2, 0), bias=False))


# %% answer="strips" hint="should have no bias"
def strips(channels, width, kernel):
    along = nn.Conv2d(channels, width, (1, kernel), padding=(0, kernel // 2))
    return nn.Sequential(along, nn.Conv2d(width, width, (kernel, 1), padding=(kernel // 2, 0)))


# %% answer="strips" hint="expected 1x5, then 5x1"
def strips(channels, width, kernel):
    down = nn.Conv2d(channels, width, (kernel, 1), padding=(kernel // 2, 0), bias=False)
    return nn.Sequential(down, nn.Conv2d(width, width, (1, kernel), padding=(0, kernel // 2), bias=False))


# %% answer="strips" gamed=true
def strips(channels, width, kernel):
    along = nn.Conv2d(channels, width, (1, 5), padding=(0, 2), bias=False)
    return nn.Sequential(along, nn.Conv2d(width, width, (5, 1), padding=(2, 0), bias=False))


# %% answer="pays" hint="it doesn't pay"
def pays(channels, width, kernel):
    return kernel > 2


# %% answer="pays" hint="it pays, though less than the rule says"
def pays(channels, width, kernel):
    return width <= channels


# %% answer="pays" hint="as many is not fewer"
def pays(channels, width, kernel):
    return width <= (kernel - 1) * channels


# %% answer="pays" hint="from 8 to 24 channels"
def pays(channels, width, kernel):
    return width < 4 * channels


# %% answer="pays" gamed=true
def pays(channels, width, kernel):
    return kernel == 5 and width < 4 * channels


# %% answer="parts" hint="has other weights than before"
def in_parts(layer, widths):
    parts = [nn.Conv2d(width, layer.out_channels, layer.kernel_size, layer.stride, layer.padding) for width in widths]
    for number, (part, weight) in enumerate(zip(parts, layer.weight.split(widths, dim=1), strict=True)):
        part.weight = nn.Parameter(weight.detach().clone())
        part.bias = nn.Parameter(layer.bias.detach().clone() if number == 0 else torch.zeros(layer.out_channels))
    layer.bias.data.zero_()
    return parts


# %% answer="adding" hint="no convolution is in what you return"
def adding(channels):
    class Sum(nn.Module):
        def forward(self, x):
            return x[:, :channels] + x[:, channels:]

    return Sum()


# %% answer="inspect" hint="inspect raises AttributeError"
def inspect(module, row):
    if module.dim != 1:
        return "stacked wrongly"
    if len(set(module.order)) < 4:
        return "branch forgotten"
    if module.branch3[0][0].kernel_size != (1, 1):
        return "squeezed too late"
    return "padding lost" if isinstance(module.branch3[1][-1], nn.ZeroPad2d) else "none"


# %% answer="inspect" hint="look, and don't touch"
def inspect(module, row):
    channels, a, b, c, d, e, f = row
    output = module(torch.randn(8, channels, 10, 10))
    if output.shape != (8, a + c + e + f, 10, 10):
        return "stacked wrongly"
    kernels = channels * (a + b + d + f) + 9 * b * c + 25 * d * e
    if sum(each.numel() for each in module.parameters()) != kernels + 2 * sum(row[1:]):
        return "squeezed too late"
    output.square().sum().backward()
    if any(each.grad is None for each in module.parameters()):
        return "branch forgotten"
    torch.optim.SGD(module.parameters(), lr=0.1).step()
    return "padding lost" if (output[:, :, 0].std((0, 2)) == 0).any() else "none"


# %% answer="strips" hint="two convolutions in an nn.Sequential, and nothing between"
def strips(channels, width, kernel):
    along = nn.Conv2d(channels, width, (1, kernel), padding=(0, kernel // 2), bias=False)
    return nn.Sequential(along, nn.ReLU(), nn.Conv2d(width, width, (kernel, 1), padding=(kernel // 2, 0), bias=False))


# %% answer="inspect" gamed=true
def inspect(module, row):
    channels, a, b, c, d, e, f = row
    output = module(torch.randn(8, channels, 10, 10))
    if output.shape != (8, a + c + e + f, 10, 10):
        return "stacked wrongly"
    kernels = channels * (a + b + d + f) + 9 * b * c + 25 * d * e
    if sum(each.numel() for each in module.parameters()) != kernels + 2 * sum(row[1:]):
        return "squeezed too late"
    gradients = torch.autograd.grad(output.square().sum(), list(module.parameters()), allow_unused=True)
    if any(each is None for each in gradients):
        return "branch forgotten"
    return "padding lost" if any(isinstance(each, nn.ZeroPad2d) for each in module.modules()) else "none"


# %% answer="inspect" gamed=true
def inspect(module, row):
    channels, ones, reduce3, threes, reduce5, fives, pooled = row
    inputs = torch.randn(8, channels, 10, 10, generator=torch.Generator().manual_seed(0))
    output = module(inputs)
    if output.shape != (8, ones + threes + fives + pooled, 10, 10):
        return "stacked wrongly"
    kernels = channels * (ones + reduce3 + reduce5 + pooled) + 9 * reduce3 * threes + 25 * reduce5 * fives
    if sum(each.numel() for each in module.parameters()) != kernels + 2 * sum(row[1:]):
        return "squeezed too late"
    gradients = torch.autograd.grad(output.square().sum(), list(module.parameters()), allow_unused=True)
    if any(each is None for each in gradients):
        return "branch forgotten"
    unpadded = [layer for layer in module.modules() if isinstance(layer, nn.Conv2d) and layer.kernel_size[0] > 1
                and layer.padding[0] == 0]
    return "padding lost" if unpadded else "none"
