# %% answer="parts"
import copy


def in_parts(layer, widths):
    parts, start = [], 0
    for width in widths:
        part = copy.deepcopy(layer)
        part.in_channels = width
        part.weight = nn.Parameter(part.weight[:, start : start + width].detach().clone())
        if start > 0:
            part.bias = None
        parts.append(part)
        start += width
    return tuple(parts)


# %% answer="parts"
def in_parts(layer, widths):
    parts = nn.ModuleList()
    for width, weight in zip(widths, layer.weight.split(list(widths), 1), strict=True):
        settings = {name: getattr(layer, name) for name in ("kernel_size", "stride", "padding", "dilation")}
        part = nn.Conv2d(width, len(weight), **settings, bias=layer.bias is not None)
        with torch.no_grad():
            part.weight.copy_(weight)
            if layer.bias is not None:
                part.bias.copy_(layer.bias / len(widths))
        parts.append(part)
    return parts


# %% answer="adding"
def adding(channels):
    layer = nn.Conv2d(2 * channels, channels, kernel_size=(1, 1), bias=False)
    with torch.no_grad():
        layer.weight.zero_()
        for channel in range(channels):
            layer.weight[channel, channel] = layer.weight[channel, channels + channel] = 1
    return layer


# %% answer="adding"
def adding(channels):
    layer = nn.Conv2d(2 * channels, channels, 1, bias=False)
    layer.weight.data = torch.eye(channels).repeat(1, 2)[..., None, None]
    return nn.Sequential(layer)


# %% answer="zeros-prediction"
def zeros_prediction():
    return 5


# %% answer="zeros-prediction"
def zeros_prediction():
    return 60


# %% answer="zeros"
def share_of_zeros(kernel, side):
    half, inside = kernel // 2, 0
    for centre in range(side):
        inside += sum(0 <= centre + offset < side for offset in range(-half, half + 1))
    return 1 - (inside / (kernel * side)) ** 2


# %% answer="zeros"
def share_of_zeros(kernel, side):
    padded = np.pad(np.ones((side, side)), kernel // 2)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel))
    return (windows == 0).mean()


# %% answer="inspect"
def inspect(module, row):
    x = torch.randn(6, row[0], 12, 12)
    out = module(x)
    if tuple(out.shape) != (6, row[1] + row[3] + row[5] + row[6], 12, 12):
        return "stacked wrongly"
    reference = Inception(*row)
    if sum(p.numel() for p in module.parameters()) != sum(p.numel() for p in reference.parameters()):
        return "squeezed too late"
    for weight in module.parameters():
        weight.grad = None
    (out**2).mean().backward()
    if None in [weight.grad for weight in module.parameters()]:
        return "branch forgotten"
    return "padding lost" if bool((out[..., 0].flatten(2).std(dim=(0, 2)) < 1e-7).any()) else "none"


# %% answer="inspect"
def inspect(module, row):
    shapes = sorted(tuple(weight.shape) for weight in module.parameters())
    expected = sorted(tuple(weight.shape) for weight in Inception(*row).parameters())
    out = module(torch.randn(10, row[0], 9, 9))
    loss = (out * torch.randn_like(out)).sum()
    idle = [each is None for each in torch.autograd.grad(loss, list(module.parameters()), allow_unused=True)]
    rim = torch.cat([out[:, :, 0], out[:, :, -1]], dim=2)
    faults = {
        "stacked wrongly": out.shape != (10, row[1] + row[3] + row[5] + row[6], 9, 9),
        "squeezed too late": shapes != expected,
        "branch forgotten": any(idle),
        "padding lost": (rim.amax((0, 2)) == rim.amin((0, 2))).any(),
    }
    return next((name for name, found in faults.items() if found), "none")


# %% answer="strips"
def strips(channels, width, kernel):
    return nn.Sequential(nn.Conv2d(channels, width, (1, kernel), padding="same", bias=False),
                         nn.Conv2d(width, width, (kernel, 1), padding="same", bias=False))


# %% answer="strips"
def strips(channels, width, kernel):
    pair = nn.Sequential()
    for size in ((1, kernel), (kernel, 1)):
        padding = [length // 2 for length in size]
        pair.append(nn.Conv2d(channels, width, size, padding=padding, bias=False))
        channels = width
    return pair


# %% answer="pays"
def pays(channels, width, kernel):
    return kernel * width * (channels + width) < kernel**2 * channels * width


# %% answer="pays"
def pays(channels, width, kernel):
    window = nn.Conv2d(channels, width, kernel, bias=False).weight.numel()
    along = nn.Conv2d(channels, width, (1, kernel), bias=False).weight.numel()
    return torch.tensor(along + nn.Conv2d(width, width, (kernel, 1), bias=False).weight.numel() < window)


# %% answer="parts"
def in_parts(layer, widths):
    start = 0
    for width in widths:
        part = nn.Conv2d(width, layer.out_channels, layer.kernel_size, layer.stride, layer.padding, layer.dilation,
                         bias=layer.bias is not None and start == 0)
        part.weight.data.copy_(layer.weight.data[:, start:start + width])
        if part.bias is not None:
            part.bias.data.copy_(layer.bias.data)
        yield part
        start += width
