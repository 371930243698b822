# %% answer="pixel-std"
def pixel_std(images):
    return torch.tensor(images).double().div(255).std((0, 1, 2), correction=0)


# %% answer="pixel-std"
def pixel_std(images):
    spreads = []
    for channel in range(3):
        pixels = images[..., channel].astype(float) / 255
        spreads.append(np.sqrt((pixels**2).mean() - pixels.mean() ** 2))
    return spreads


# %% answer="turn"
def turn(images, quarters):
    turned = torch.stack([torch.rot90(images, k, (2, 3)) for k in range(4)])
    return turned[quarters, torch.arange(len(images))]


# %% answer="turn"
def turn(images, quarters):
    turned = images.clone()
    for k in (1, 2, 3):
        turned[quarters == k] = images[quarters == k].rot90(k, (-2, -1))
    return turned


# %% answer="scatter-prediction"
def scatter_prediction():
    return 1


# %% answer="scatter-prediction"
def scatter_prediction():
    return 3


# %% answer="scatter"
def scatter(images, size, draws, rng):
    means = []
    for _ in range(draws):
        chosen = rng.permutation(len(images))[:size]
        means.append(images[chosen, :, :, 0].mean() / 255)
    return np.std(means, ddof=1)


# %% answer="scatter"
def scatter(images, size, draws, rng):
    red = torch.tensor(images[..., 0]).float().mean((1, 2)) / 255
    order = rng.random((draws, len(images))).argsort(1)[:, :size]
    return red[torch.tensor(order)].mean(1).std()


# %% answer="loader"
def my_loader(pictures, labels, rng, training):
    images = ((torch.tensor(pictures).permute(0, 3, 1, 2) / 255) - torch.tensor(MEAN)) / torch.tensor(STD)
    labels = torch.tensor(labels)
    if training:
        mirrored = torch.tensor(rng.random(len(images)) < 0.5)
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
        order = torch.tensor(rng.permutation(len(images)))
        images, labels = images[order], labels[order]
    return images, labels


# %% answer="loader"
def my_loader(pictures, labels, rng, training):
    order = rng.permutation(len(pictures)) if training else range(len(pictures))
    images = []
    for number in order:
        picture = pictures[number]
        if training and rng.random() < 0.5:
            picture = picture[:, ::-1]
        images.append((np.moveaxis(picture, 2, 0) / np.float32(255) - MEAN) / STD)
    return np.stack(images), labels[list(order)]
