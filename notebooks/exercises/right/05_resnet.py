# %% answer="bottleneck"
class Bottleneck(nn.Module):
    def __init__(self, channels, squeezed, stride=1):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, squeezed, 1, bias=False), nn.BatchNorm2d(squeezed)
        self.conv2 = nn.Conv2d(squeezed, squeezed, (3, 3), stride=stride, padding="valid", bias=False)
        self.bn2 = nn.BatchNorm2d(squeezed)
        self.conv3, self.bn3 = nn.Conv2d(squeezed, 4 * squeezed, 1, bias=False), nn.BatchNorm2d(4 * squeezed)
        self.project = self.bn4 = None
        if stride > 1 or channels != 4 * squeezed:
            self.project = nn.Conv2d(channels, 4 * squeezed, 1, stride=stride, bias=False)
            self.bn4 = nn.BatchNorm2d(4 * squeezed)

    def forward(self, x):
        out = torch.relu(self.bn1(self.conv1(x)))
        out = torch.relu(self.bn2(self.conv2(F.pad(out, (1, 1, 1, 1)))))
        out = self.bn3(self.conv3(out))
        out = out + (x if self.project is None else self.bn4(self.project(x)))
        return out.clamp(min=0)


# %% answer="bottleneck"
def normed(channels, width, kernel, stride=1):
    convolution = nn.Conv2d(channels, width, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(width))


class Bottleneck(nn.Module):
    def __init__(self, channels, squeezed, stride=1):
        super().__init__()
        self.squeeze = nn.Sequential(normed(channels, squeezed, 1), nn.ReLU(inplace=True))
        self.work = nn.Sequential(normed(squeezed, squeezed, 3, stride), nn.ReLU(inplace=True))
        self.expand = normed(squeezed, 4 * squeezed, 1)
        same = stride == 1 and channels == 4 * squeezed
        self.shortcut = nn.Sequential() if same else normed(channels, 4 * squeezed, 1, stride)
        self.last = nn.ReLU()

    def forward(self, x):
        return self.last(self.expand(self.work(self.squeeze(x))) + self.shortcut(x))


# %% answer="growth"
def growth(blocks, scale):
    return math.exp(blocks * math.log1p(scale * scale))


# %% answer="growth"
def growth(blocks, scale):
    square = torch.tensor(1.0, dtype=torch.float64)
    for _ in range(blocks):
        square = square + scale**2 * square
    return square


# %% answer="measured"
def measured_growth(blocks, scale, draw):
    x = torch.randn(64, 256, generator=draw)
    x = x / x.square().mean().sqrt()
    for _ in range(blocks):
        x += branch(x, draw) * scale
    return x.square().mean()


# %% answer="measured"
def measured_growth(blocks, scale, draw):
    signals = [torch.randn(64, 256, generator=draw)]
    for _ in range(blocks):
        signals.append(signals[-1] + scale * branch(signals[-1], draw))
    return (signals[-1].norm() / signals[0].norm()).numpy() ** 2


# %% answer="doubling"
def doubling_scale(blocks):
    return math.expm1(math.log(2) / blocks) ** 0.5


# %% answer="doubling"
def doubling_scale(blocks):
    low, high = 0.0, 2.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if (1 + middle**2) ** blocks < 2 else (low, middle)
    return torch.tensor([low], dtype=torch.float64)


# %% answer="late-forward"
def mended_forward(block, x):
    branch = nn.Sequential(block.conv1, block.bn1, nn.ReLU(), block.conv2, block.bn2)
    return nn.ReLU()(branch(x) + block.shortcut(x))


# %% answer="late-forward"
def mended_forward(block, x):
    out = block.bn1(block.conv1(x)).clamp_min(0)
    out = block.bn2(block.conv2(out))
    out += block.shortcut(x)
    return F.relu_(out)


# %% answer="small-images"
def fit_to_small_images(network):
    width = network.conv1.out_channels
    network.conv1 = nn.Sequential(nn.Conv2d(3, width, 3, padding="same", bias=False))
    network.maxpool = nn.Sequential()
    return network


# %% answer="small-images"
def fit_to_small_images(network):
    network.conv1 = nn.Conv2d(3, len(network.bn1.weight), (3, 3), (1, 1), (1, 1), bias=False)
    network.maxpool = nn.MaxPool2d(1)
    return network
