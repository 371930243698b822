# %% answer="merged"
def merged(first, second):
    weight = F.conv2d(second.weight, first.weight.transpose(0, 1))
    return weight, second(first.bias.view(1, -1, 1, 1).expand(-1, -1, *second.kernel_size)).flatten()


# %% answer="merged"
def merged(first, second):
    inner = first.weight[:, :, 0, 0].double()
    size = second.kernel_size
    weight = torch.empty(second.out_channels, first.in_channels, *size, dtype=torch.float64)
    bias = second.bias.detach().double()
    for i in range(size[0]):
        for j in range(size[1]):
            pixel = second.weight[:, :, i, j].double()
            weight[:, :, i, j] = (pixel @ inner).detach()
            bias = bias + (pixel @ first.bias.double()).detach()
    return [weight, bias]


# %% answer="bend"
@torch.no_grad()
def bend(network, x, y):
    half_way = torch.stack([network(x), network(y)]).mean(0)
    return torch.max(torch.abs(half_way - network(0.5 * x + 0.5 * y)))


# %% answer="bend"
def bend(network, x, y):
    answers = network(torch.cat([x, y, (x + y) / 2])).chunk(3)
    return float(((answers[0] + answers[1]) / 2 - answers[2]).detach().numpy().__abs__().max())


# %% answer="my-network"
class Mine(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(*channels, 1, bias=False) for channels in ((2, 32), (32, 32), (32, 2)))
        for layer in self.layers:
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x).mean((2, 3))


def my_network():
    return Mine()


# %% answer="my-network"
def my_network():
    def layer(channels, width):
        convolution = nn.Conv2d(channels, width, kernel_size=1)
        convolution.weight.data = torch.randn(width, channels, 1, 1) * (2 / channels) ** 0.5
        convolution.bias.data.zero_()
        return convolution

    body = nn.Sequential(layer(2, 32), nn.LeakyReLU(0.1), nn.Sequential(layer(32, 32), nn.ReLU()), layer(32, 32))
    return nn.Sequential(body, nn.ReLU(), layer(32, 2), nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(1))


# %% answer="shift-prediction"
def shift_prediction():
    return 1


# %% answer="shift-prediction"
def shift_prediction():
    return 32


# %% answer="smallest-shift"
@torch.no_grad()
def smallest_shift(network, images):
    def moved(columns):
        return torch.cat([images[..., -columns:], images[..., :-columns]], dim=-1)

    unmoved = network(images)
    width = images.shape[-1]
    return next(n for n in range(1, width + 1) if torch.allclose(network(moved(n)), unmoved, rtol=0, atol=1e-9))


# %% answer="smallest-shift"
def smallest_shift(network, images):
    unmoved = network(images).detach().numpy()
    columns = 1
    while abs(network(images.roll(-columns, dims=-1)).detach().numpy() - unmoved).max() > 1e-9:
        columns += 1
    return torch.tensor(columns)


# %% answer="maps"
def maps_of(features, linear):
    return linear(features.movedim(1, -1)).movedim(-1, 1)


# %% answer="maps"
def maps_of(features, linear):
    layer = nn.Conv2d(linear.in_features, linear.out_features, kernel_size=1).double()
    with torch.no_grad():
        layer.weight.copy_(linear.weight[:, :, None, None])
        layer.bias.copy_(linear.bias)
    return layer(features.double())


# %% answer="bend"
def bend(network, x, y):
    network.eval()
    with torch.no_grad():
        return (network((x + y) / 2) - (network(x) + network(y)) / 2).abs().max().item()
