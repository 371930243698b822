# %% answer="ghost-norm"
def ghost_norm(x, ghosts, eps=1e-5):
    shape = x.shape
    side_by_side = x.reshape(ghosts, shape[0] // ghosts, *shape[1:]).transpose(1, 2)  # parts, channels, images, H, W
    return F.instance_norm(side_by_side, eps=eps).transpose(1, 2).reshape(shape)


# %% answer="ghost-norm"
def ghost_norm(x, ghosts, eps=1e-5):
    parts = x.double().numpy().reshape(ghosts, -1, *x.shape[1:])
    mean = parts.mean(axis=(1, 3, 4), keepdims=True)
    square = (parts**2).mean(axis=(1, 3, 4), keepdims=True)
    return ((parts - mean) / np.sqrt(square - mean**2 + eps)).reshape(x.shape)


# %% answer="translate"
def translate(rate, decay, batch, reduction, parts=1):
    times_too_long = {"sum": batch, "mean": parts}[reduction]
    lr = rate / times_too_long
    return [lr, rate * decay / lr]


# %% answer="translate"
def translate(rate, decay, batch, reduction, parts=1):
    share = torch.tensor(1 / batch if reduction == "sum" else 1 / parts, dtype=torch.float64)
    return rate * share, decay / share


# %% answer="late-prediction"
def late_prediction():
    return 50


# %% answer="late-prediction"
def late_prediction():
    return 100


# %% answer="follow"
def follow(path, kept, every):
    averages = path.clone()
    for row in range(1, len(path)):
        averages[row] = averages[row - 1]
        if (row + 1) % every == 0:
            averages[row] = torch.lerp(path[row], averages[row], kept)
    return averages


# %% answer="follow"
def follow(path, kept, every):
    average = path.numpy()[0].copy()
    averages = []
    for step, weight in enumerate(path.numpy(), 1):
        if not step % every:
            average += (1 - kept) * (weight - average)
        averages.append(average.copy())
    return np.array(averages)


# %% answer="whiten-any"
def whiten_any(images, eps):
    patches = images.double().unfold(2, 3, 1).unfold(3, 3, 1).permute(0, 2, 3, 1, 4, 5).reshape(-1, 27)
    values, vectors = torch.linalg.eigh(torch.cov(patches.T, correction=0))
    filters = [vectors[:, i] / (values[i] + eps).sqrt() for i in reversed(range(27))]
    filters = torch.stack(filters)
    return [filters.reshape(27, 3, 3, 3), -(filters * patches.mean(0)).sum(1)]


# %% answer="whiten-any"
def whiten_any(images, eps):
    patches = F.unfold(images.double(), 3).permute(0, 2, 1).flatten(0, 1)
    middle = patches.mean(0, keepdim=True)
    _, singular, directions = np.linalg.svd((patches - middle).numpy(), full_matrices=False)
    filters = -directions / np.sqrt(singular**2 / len(patches) + eps)[:, None]
    return filters.reshape(27, 3, 3, 3), -filters @ middle.numpy()[0]
