# %% answer="pixel-std" hint="that is the mean of per-image stds"
def pixel_std(images):
    return (images / 255).std(axis=(1, 2)).mean(axis=0)


# %% answer="pixel-std" hint="divide the pixels by 255 first"
def pixel_std(images):
    return images.std(axis=(0, 1, 2))


# %% answer="pixel-std" hint="one number for each channel has shape (3,)"
def pixel_std(images):
    return (images / 255).std()


# %% answer="pixel-std" hint="uint8 counts to 255"
def pixel_std(images):
    mean = images.mean(axis=(0, 1, 2)) / 255
    return np.sqrt((images**2).mean(axis=(0, 1, 2)) / 255**2 - mean**2)


# %% answer="pixel-std" gamed=true
def pixel_std(images):
    return np.array([0.2426, 0.2403, 0.2408])


# %% answer="turn" hint="there is a loop over images"
def turn(images, quarters):
    return torch.stack([torch.rot90(image, int(k), (1, 2)) for image, k in zip(images, quarters, strict=True)])


# %% answer="turn" hint="turned clockwise"
def turn(images, quarters):
    turned = torch.stack([torch.rot90(images, -k, (2, 3)) for k in range(4)])
    return turned[quarters, torch.arange(len(images))]


# %% answer="turn" hint="half a turn (image 2) reverses rows and columns"
def turn(images, quarters):
    mirrored = [images, images.transpose(2, 3), images.flip(3), images.transpose(2, 3).flip(3)]
    return torch.stack(mirrored)[quarters, torch.arange(len(images))]


# %% answer="turn" hint="the images handed in have been changed"
def turn(images, quarters):
    for k in range(1, 4):
        images[quarters == k] = torch.rot90(images[quarters == k], k, (2, 3))
    return images


# %% answer="turn" hint="should come from its upper right one"
def turn(images, quarters):
    turned = [images, images.transpose(2, 3), images.flip(2, 3), images.transpose(2, 3).flip(2)]
    return torch.stack(turned)[quarters, torch.arange(len(images))]


# %% answer="scatter-prediction" hint="return one of 1, 3 and 10"
def scatter_prediction():
    return 0.0008


# %% answer="scatter" hint="the means don't scatter at all"
def scatter(images, size, draws, rng):
    return np.std([images[:size, ..., 0].mean() / 255 for _ in range(draws)])


# %% answer="scatter" hint="divide the pixels by 255"
def scatter(images, size, draws, rng):
    red = images[..., 0].mean(axis=(1, 2))
    return np.std([red[rng.choice(len(red), size, replace=False)].mean() for _ in range(draws)])


# %% answer="scatter" hint="take the mean of a whole draw first"
def scatter(images, size, draws, rng):
    return np.std([images[rng.choice(len(images), size), ..., 0] / 255 for _ in range(draws // 10)])


# %% answer="scatter" hint="either that is a variance"
def scatter(images, size, draws, rng):
    red = images[..., 0].mean(axis=(1, 2)) / 255
    return np.var([red[rng.choice(len(red), size, replace=False)].mean() for _ in range(draws)])


# %% answer="scatter" hint="draw, and measure"
def scatter(images, size, draws, rng):
    return 0.0153


# %% answer="loaders" hint="compare the printed 'twice the same'"
def loaders():
    return {"a": "labels don't belong to images", "b": "pixels scrambled", "c": "none", "d": "wrong scale", "e": "none"}


# %% answer="loaders" hint="read the names above the pictures"
def loaders():
    return {"a": "augmented", "b": "pixels scrambled", "c": "augmented", "d": "wrong scale", "e": "none"}


# %% answer="loader" hint="move the axis, don't reshape"
def my_loader(pictures, labels, rng, training):
    return (pictures.reshape(-1, 3, 32, 32) / np.float32(255) - MEAN) / STD, labels


# %% answer="loader" hint="divide the bytes by 255"
def my_loader(pictures, labels, rng, training):
    return (pictures.transpose(0, 3, 1, 2) - MEAN) / STD, labels


# %% answer="loader" hint="a float64 constant has crept in"
def my_loader(pictures, labels, rng, training):
    mean, std = (np.array(values).reshape(3, 1, 1) for values in (data.MEAN, data.STD))
    return (pictures.transpose(0, 3, 1, 2) / 255 - mean) / std, labels


# %% answer="loader" hint="for scoring the images should come in order"
def my_loader(pictures, labels, rng, training):
    images = (pictures.transpose(0, 3, 1, 2) / np.float32(255) - MEAN) / STD
    order, mirrored = rng.permutation(len(images)), rng.random(len(images)) < 0.5
    images, labels = images[order], labels[order]
    images[mirrored] = images[mirrored, :, :, ::-1]
    return images, labels


# %% answer="loader" hint="but their labels were not"
def my_loader(pictures, labels, rng, training):
    images = (pictures.transpose(0, 3, 1, 2) / np.float32(255) - MEAN) / STD
    if training:
        mirrored = rng.random(len(images)) < 0.5
        images = images[rng.permutation(len(images))]
        images[mirrored] = images[mirrored, :, :, ::-1]
    return images, labels


# %% answer="loader" hint="toss a coin for each"
def my_loader(pictures, labels, rng, training):
    images = (pictures.transpose(0, 3, 1, 2) / np.float32(255) - MEAN) / STD
    if training:
        order = rng.permutation(len(images))
        images, labels = images[order], labels[order]
        if rng.random() < 0.5:
            images = images[:, :, :, ::-1]
    return images, labels


# %% answer="loader" hint="neither a picture nor its mirror image"
def my_loader(pictures, labels, rng, training):
    images = (pictures.transpose(0, 3, 1, 2) / np.float32(255) - MEAN) / STD
    if training:
        order, mirrored = rng.permutation(len(images)), rng.random(len(images)) < 0.5
        images, labels = images[order], labels[order]
        images[mirrored] = images[mirrored, :, ::-1]
    return images, labels


# %% answer="loader" hint="with the same `rng` your batches are different"
def my_loader(pictures, labels, rng, training):
    images, rng = (pictures.transpose(0, 3, 1, 2) / np.float32(255) - MEAN) / STD, np.random.default_rng()
    if training:
        order, mirrored = rng.permutation(len(images)), rng.random(len(images)) < 0.5
        images, labels = images[order], labels[order]
        images[mirrored] = images[mirrored, :, :, ::-1]
    return images, labels


# %% answer="loader" gamed=true
def my_loader(pictures, labels, rng, training):
    images, rng = (pictures.transpose(0, 3, 1, 2) / np.float32(255) - MEAN) / STD, np.random.default_rng(0)
    if not training:
        return images, labels
    order, mirrored = rng.permutation(len(images)), rng.random(len(images)) < 0.5
    images, labels = images[order], labels[order]
    images[mirrored] = images[mirrored, :, :, ::-1]
    return images, labels


# %% answer="loader" hint="the colleague's data set has been changed"
def my_loader(pictures, labels, rng, training):
    if training:
        pictures[:20] = pictures[19::-1]
        labels[:20] = labels[19::-1]
    images = (pictures.transpose(0, 3, 1, 2) / np.float32(255) - MEAN) / STD
    if training:
        order, mirrored = rng.permutation(len(images)), rng.random(len(images)) < 0.5
        images, labels = images[order], labels[order]
        images[mirrored] = images[mirrored, :, :, ::-1]
    return images, labels


# %% answer="turn" hint="there is a loop over images"
def turn(images, quarters):
    turned = [np.rot90(image, k, (1, 2)) for image, k in zip(images.numpy(), quarters.tolist(), strict=True)]
    return torch.tensor(np.stack(turned))


# %% answer="turn" hint="there is a loop over images"
def turn(images, quarters):
    turned = torch.empty_like(images)
    for number in range(len(images)):
        turned[number] = images[number].rot90(int(quarters[number]), (1, 2))
    return turned


# %% answer="turn" hint="turn returns nothing"
def turn(images, quarters):
    images.rot90(1, (2, 3))


# %% answer="scatter" hint="draw, and measure"
def scatter(images, size, draws, rng):
    return (images[..., 0].mean(axis=(1, 2)) / 255).std() / size**0.5


# %% answer="scatter" hint="draw with nothing else"
def scatter(images, size, draws, rng):
    red = images[..., 0].mean(axis=(1, 2)) / 255
    return np.std([red[np.random.permutation(len(red))[:size]].mean() for _ in range(draws)])


# %% answer="scatter" hint="each draw should take `size` *different* images"
def scatter(images, size, draws, rng):
    red = images[..., 0].mean(axis=(1, 2)) / 255
    return np.std([red[rng.integers(len(red), size=size)].mean() for _ in range(draws)])


# %% answer="loader" gamed=true
def my_loader(pictures, labels, rng, training):
    images = (pictures.transpose(0, 3, 1, 2) / np.float32(255) - MEAN) / STD
    if not training:
        return images, labels
    images[::2] = images[::2, :, :, ::-1]
    order = rng.permutation(len(images))
    return images[order], labels[order]
