# %% answer="bottleneck" hint="a convolution in front of BN needs no bias"
class Bottleneck(nn.Module):
    def __init__(self, channels, squeezed, stride=1):
        super().__init__()
        wide = 4 * squeezed
        self.branch = nn.Sequential(
            nn.Conv2d(channels, squeezed, 1), nn.BatchNorm2d(squeezed), nn.ReLU(),
            nn.Conv2d(squeezed, squeezed, 3, stride, padding=1), nn.BatchNorm2d(squeezed), nn.ReLU(),
            nn.Conv2d(squeezed, wide, 1), nn.BatchNorm2d(wide))
        self.shortcut = nn.Identity()
        if stride != 1 or channels != wide:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, wide, 1, stride), nn.BatchNorm2d(wide))

    def forward(self, x):
        return F.relu(self.shortcut(x) + self.branch(x))


# %% answer="bottleneck" hint="where the shape stays the same, the shortcut has none"
class Bottleneck(nn.Module):
    def __init__(self, channels, squeezed, stride=1):
        super().__init__()
        wide = 4 * squeezed
        self.branch = nn.Sequential(
            nn.Conv2d(channels, squeezed, 1, bias=False), nn.BatchNorm2d(squeezed), nn.ReLU(),
            nn.Conv2d(squeezed, squeezed, 3, stride, padding=1, bias=False), nn.BatchNorm2d(squeezed), nn.ReLU(),
            nn.Conv2d(squeezed, wide, 1, bias=False), nn.BatchNorm2d(wide))
        self.shortcut = nn.Sequential(nn.Conv2d(channels, wide, 1, stride, bias=False), nn.BatchNorm2d(wide))

    def forward(self, x):
        return F.relu(self.shortcut(x) + self.branch(x))


# %% answer="bottleneck" hint="and three BNs"
class Bottleneck(nn.Module):
    def __init__(self, channels, squeezed, stride=1):
        super().__init__()
        wide = 4 * squeezed
        self.branch = nn.Sequential(
            nn.Conv2d(channels, squeezed, 1, bias=False), nn.BatchNorm2d(squeezed), nn.ReLU(),
            nn.Conv2d(squeezed, squeezed, 3, stride, padding=1, bias=False), nn.BatchNorm2d(squeezed), nn.ReLU(),
            nn.Conv2d(squeezed, wide, 1, bias=False))
        self.shortcut = nn.Identity()
        if stride != 1 or channels != wide:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, wide, 1, stride, bias=False), nn.BatchNorm2d(wide))

    def forward(self, x):
        return F.relu(self.shortcut(x) + self.branch(x))


# %% answer="bottleneck" hint="its stride is 1, but 64 channels come in"
class Bottleneck(nn.Module):
    def __init__(self, channels, squeezed, stride=1):
        super().__init__()
        wide = 4 * squeezed
        self.branch = nn.Sequential(
            nn.Conv2d(channels, squeezed, 1, bias=False), nn.BatchNorm2d(squeezed), nn.ReLU(),
            nn.Conv2d(squeezed, squeezed, 3, stride, padding=1, bias=False), nn.BatchNorm2d(squeezed), nn.ReLU(),
            nn.Conv2d(squeezed, wide, 1, bias=False), nn.BatchNorm2d(wide))
        self.shortcut = nn.Identity()
        if stride != 1:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, wide, 1, stride, bias=False), nn.BatchNorm2d(wide))

    def forward(self, x):
        return F.relu(self.shortcut(x) + self.branch(x))


# %% answer="bottleneck" hint="the projection should have a BN of its own"
class Bottleneck(nn.Module):
    def __init__(self, channels, squeezed, stride=1):
        super().__init__()
        wide = 4 * squeezed
        self.branch = nn.Sequential(
            nn.Conv2d(channels, squeezed, 1, bias=False), nn.BatchNorm2d(squeezed), nn.ReLU(),
            nn.Conv2d(squeezed, squeezed, 3, stride, padding=1, bias=False), nn.BatchNorm2d(squeezed), nn.ReLU(),
            nn.Conv2d(squeezed, wide, 1, bias=False), nn.BatchNorm2d(wide))
        self.shortcut = nn.Identity()
        if stride != 1 or channels != wide:
            self.shortcut = nn.Conv2d(channels, wide, 1, stride, bias=False)

    def forward(self, x):
        return F.relu(self.shortcut(x) + self.branch(x))


# %% answer="bottleneck" hint="the last ReLU follows the sum"
class Bottleneck(nn.Module):
    def __init__(self, channels, squeezed, stride=1):
        super().__init__()
        wide = 4 * squeezed
        self.branch = nn.Sequential(
            nn.Conv2d(channels, squeezed, 1, bias=False), nn.BatchNorm2d(squeezed), nn.ReLU(),
            nn.Conv2d(squeezed, squeezed, 3, stride, padding=1, bias=False), nn.BatchNorm2d(squeezed), nn.ReLU(),
            nn.Conv2d(squeezed, wide, 1, bias=False), nn.BatchNorm2d(wide))
        self.shortcut = nn.Identity()
        if stride != 1 or channels != wide:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, wide, 1, stride, bias=False), nn.BatchNorm2d(wide))

    def forward(self, x):
        return self.shortcut(x) + self.branch(x)


# %% answer="bottleneck" hint="a ReLU stands in front of the sum"
class Bottleneck(nn.Module):
    def __init__(self, channels, squeezed, stride=1):
        super().__init__()
        wide = 4 * squeezed
        self.branch = nn.Sequential(
            nn.Conv2d(channels, squeezed, 1, bias=False), nn.BatchNorm2d(squeezed), nn.ReLU(),
            nn.Conv2d(squeezed, squeezed, 3, stride, padding=1, bias=False), nn.BatchNorm2d(squeezed), nn.ReLU(),
            nn.Conv2d(squeezed, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU())
        self.shortcut = nn.Identity()
        if stride != 1 or channels != wide:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, wide, 1, stride, bias=False), nn.BatchNorm2d(wide))

    def forward(self, x):
        return self.shortcut(x) + self.branch(x)


# %% answer="bottleneck" hint="the stride belongs to the 3x3"
class Bottleneck(nn.Module):
    def __init__(self, channels, squeezed, stride=1):
        super().__init__()
        wide = 4 * squeezed
        self.branch = nn.Sequential(
            nn.Conv2d(channels, squeezed, 1, stride, bias=False), nn.BatchNorm2d(squeezed), nn.ReLU(),
            nn.Conv2d(squeezed, squeezed, 3, padding=1, bias=False), nn.BatchNorm2d(squeezed), nn.ReLU(),
            nn.Conv2d(squeezed, wide, 1, bias=False), nn.BatchNorm2d(wide))
        self.shortcut = nn.Identity()
        if stride != 1 or channels != wide:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, wide, 1, stride, bias=False), nn.BatchNorm2d(wide))

    def forward(self, x):
        return F.relu(self.shortcut(x) + self.branch(x))


# %% answer="bottleneck" hint="not created in the order"
class Bottleneck(nn.Module):
    def __init__(self, channels, squeezed, stride=1):
        super().__init__()
        wide = 4 * squeezed
        self.shortcut = nn.Identity()
        if stride != 1 or channels != wide:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, wide, 1, stride, bias=False), nn.BatchNorm2d(wide))
        self.branch = nn.Sequential(
            nn.Conv2d(channels, squeezed, 1, bias=False), nn.BatchNorm2d(squeezed), nn.ReLU(),
            nn.Conv2d(squeezed, squeezed, 3, stride, padding=1, bias=False), nn.BatchNorm2d(squeezed), nn.ReLU(),
            nn.Conv2d(squeezed, wide, 1, bias=False), nn.BatchNorm2d(wide))

    def forward(self, x):
        return F.relu(self.shortcut(x) + self.branch(x))


# %% answer="bottleneck" hint="look for a ReLU behind the first and the second BN"
class Bottleneck(nn.Module):
    def __init__(self, channels, squeezed, stride=1):
        super().__init__()
        wide = 4 * squeezed
        self.branch = nn.Sequential(
            nn.Conv2d(channels, squeezed, 1, bias=False), nn.BatchNorm2d(squeezed),
            nn.Conv2d(squeezed, squeezed, 3, stride, padding=1, bias=False), nn.BatchNorm2d(squeezed), nn.ReLU(),
            nn.Conv2d(squeezed, wide, 1, bias=False), nn.BatchNorm2d(wide))
        self.shortcut = nn.Identity()
        if stride != 1 or channels != wide:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, wide, 1, stride, bias=False), nn.BatchNorm2d(wide))

    def forward(self, x):
        return F.relu(self.shortcut(x) + self.branch(x))


# %% answer="bottleneck" gamed=true
class Bottleneck(nn.Module):
    def __init__(self, channels, squeezed, stride=1):
        super().__init__()
        wide = 4 * squeezed
        self.branch = nn.Sequential(
            nn.Conv2d(channels, squeezed, 1, bias=False), nn.BatchNorm2d(squeezed), nn.ReLU(),
            nn.Conv2d(squeezed, squeezed, 3, stride, padding=1, bias=False), nn.BatchNorm2d(squeezed), nn.ReLU(),
            nn.Conv2d(squeezed, wide, 1, bias=False), nn.BatchNorm2d(wide))
        self.shortcut = nn.Identity()
        if channels != 256 or stride == 2:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, wide, 1, stride, bias=False), nn.BatchNorm2d(wide))

    def forward(self, x):
        return F.relu(self.shortcut(x) + self.branch(x))


# %% answer="growth" hint="their squares add"
def growth(blocks, scale):
    return (1 + scale) ** (2 * blocks)


# %% answer="growth" hint="half the amplitude is a quarter of the mean square"
def growth(blocks, scale):
    return (1 + scale) ** blocks


# %% answer="growth" hint="which has already grown"
def growth(blocks, scale):
    return 1 + blocks * scale**2


# %% answer="measured" hint="branches that all read the *first* x"
def measured_growth(blocks, scale, draw):
    x = torch.randn(64, 256, generator=draw)
    out = x + sum(scale * branch(x, draw) for _ in range(blocks))
    return out.square().mean() / x.square().mean()


# %% answer="measured" hint="as a ratio of mean *squares*"
def measured_growth(blocks, scale, draw):
    start = x = torch.randn(64, 256, generator=draw)
    for _ in range(blocks):
        x = x + scale * branch(x, draw)
    return x.norm() / start.norm()


# %% answer="measured" hint="is the branch multiplied by `scale`"
def measured_growth(blocks, scale, draw):
    start = x = torch.randn(64, 256, generator=draw)
    for _ in range(blocks):
        x = x + branch(x, draw)
    return x.square().mean() / start.square().mean()


# %% answer="measured" hint="we find 2.4 to 2.7"
def measured_growth(blocks, scale, draw):
    start = x = torch.randn(64, 256, generator=draw)
    for _ in range(blocks):
        x = x + scale**2 * branch(x, draw)
    return x.square().mean() / start.square().mean()


# %% answer="measured" hint="send vectors through the blocks"
def measured_growth(blocks, scale, draw):
    return 1.01 * growth(blocks, scale)


# %% answer="doubling" hint="a good rule, 1 over the root of the depth"
def doubling_scale(blocks):
    return blocks**-0.5


# %% answer="doubling" hint="so take the root"
def doubling_scale(blocks):
    return 2 ** (1 / blocks) - 1


# %% answer="doubling" gamed=true
def doubling_scale(blocks):
    return 0.21041


# %% answer="late-diagnosis" hint="without a shortcut it would hand on zeros"
def diagnosis():
    return "no shortcut"


# %% answer="late-diagnosis" hint="so the shortcut begins at the block's input"
def diagnosis():
    return "shortcut too short"


# %% answer="late-diagnosis" hint="that is not in the list"
def diagnosis():
    return "learning rate"


# %% answer="late-forward" hint="this computes what the colleague's block computes"
def mended_forward(block, x):
    return block.shortcut(x) + F.relu(block.bn2(block.conv2(F.relu(block.bn1(block.conv1(x))))))


# %% answer="late-forward" hint="a ReLU is missing behind the sum"
def mended_forward(block, x):
    return block.shortcut(x) + block.bn2(block.conv2(F.relu(block.bn1(block.conv1(x)))))


# %% answer="late-forward" hint="a ReLU still stands in front of the sum"
def mended_forward(block, x):
    out = block.bn2(block.conv2(F.relu(block.bn1(block.conv1(x)))))
    return F.relu(block.shortcut(x) + F.relu(out)) + 0.01


# %% answer="late-forward" hint="what came *into* the block"
def mended_forward(block, x):
    x = F.relu(block.bn1(block.conv1(x)))
    return F.relu(block.bn2(block.conv2(x)) + x)


# %% answer="late-forward" hint="is there a ReLU between bn1 and conv2"
def mended_forward(block, x):
    return F.relu(block.shortcut(x) + block.bn2(block.conv2(block.bn1(block.conv1(x)))))


# %% answer="late-forward" gamed=true
def mended_forward(block, x):
    added = block.bn2(block.conv2(F.relu(block.bn1(block.conv1(x)))))
    return F.relu((block.shortcut(x) if x.shape[1] % 8 == 0 else 0) + added)


# %% answer="small-images" hint="fit_to_small_images returns nothing"
def fit_to_small_images(network):
    network.conv1, network.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()


# %% answer="small-images" hint="Exchange only what shrinks the image"
def fit_to_small_images(network):
    network = torchvision.models.resnet18(num_classes=10)
    network.conv1, network.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    return network


# %% answer="small-images" hint="a 3x3 needs one pixel of padding"
def fit_to_small_images(network):
    network.conv1, network.maxpool = nn.Conv2d(3, 64, 3, bias=False), nn.Identity()
    return network


# %% answer="small-images" hint="its stride should be 1"
def fit_to_small_images(network):
    network.maxpool = nn.Identity()
    return network


# %% answer="small-images" hint="there is a second halving in front of it"
def fit_to_small_images(network):
    network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    return network


# %% answer="small-images" hint="for an image of 32x32 take 3x3"
def fit_to_small_images(network):
    network.conv1.stride, network.maxpool = (1, 1), nn.Identity()
    return network


# %% answer="small-images" hint="the first convolution has got a bias"
def fit_to_small_images(network):
    network.conv1, network.maxpool = nn.Conv2d(3, 64, 3, padding=1), nn.Identity()
    return network


# %% answer="measured" hint="draw everything from `draw`"
def measured_growth(blocks, scale, draw):
    start = x = torch.randn(64, 256)
    for _ in range(blocks):
        x = x + scale * branch(x, draw)
    return x.square().mean() / start.square().mean()


# %% answer="measured" gamed=true
def measured_growth(blocks, scale, draw):
    start = x = torch.randn(64, 256, generator=draw)
    for _ in range(16):
        x = x + 2 * scale * branch(x, draw) / 2
    return x.square().mean() / start.square().mean() * (1 + scale**2) ** (blocks - 16) * (1 + (blocks != 16))


# %% answer="small-images" hint="holds no convolution"
def fit_to_small_images(network):
    network.conv1, network.maxpool = nn.Identity(), nn.Identity()
    return network


# %% answer="bottleneck" gamed=true
class Bottleneck(nn.Module):
    def __init__(self, channels, squeezed, stride=1):
        super().__init__()
        wide = 4 * squeezed
        self.branch = nn.Sequential(
            nn.Conv2d(channels, squeezed, 1, bias=False), nn.BatchNorm2d(squeezed), nn.ReLU(),
            nn.Conv2d(squeezed, squeezed, 3, stride, padding=1, bias=False), nn.BatchNorm2d(squeezed), nn.ReLU(),
            nn.Conv2d(squeezed, wide, 1, bias=False), nn.BatchNorm2d(wide))
        self.shortcut = nn.Identity()
        if channels != wide:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, wide, 1, stride, bias=False), nn.BatchNorm2d(wide))

    def forward(self, x):
        return F.relu(self.shortcut(x) + self.branch(x))


# %% answer="small-images" hint="section 5's stem has none"
def fit_to_small_images(network):
    network.conv1 = nn.Conv2d(3, 64, 3, stride=1, padding=1, bias=False)
    network.maxpool = nn.MaxPool2d(3, stride=1, padding=1)
    return network
