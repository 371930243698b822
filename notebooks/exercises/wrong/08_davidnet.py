# %% answer="ghost-norm" hint="your answer has shape (4, 4, 3, 2, 2)"
def ghost_norm(x, ghosts, eps=1e-5):
    parts = x.unflatten(0, (ghosts, -1))
    variance, mean = torch.var_mean(parts, dim=(1, 3, 4), correction=0, keepdim=True)
    return (parts - mean) / (variance + eps).sqrt()


# %% answer="ghost-norm" hint="subtract the mean of the part"
def ghost_norm(x, ghosts, eps=1e-5):
    parts = x.unflatten(0, (ghosts, -1))
    return (parts / (parts.var(dim=(1, 3, 4), correction=0, keepdim=True) + eps).sqrt()).flatten(0, 1)


# %% answer="ghost-norm" hint="that is plain batch norm"
def ghost_norm(x, ghosts, eps=1e-5):
    return (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), correction=0, keepdim=True) + eps).sqrt()


# %% answer="ghost-norm" hint="each image is normalised by itself"
def ghost_norm(x, ghosts, eps=1e-5):
    return F.instance_norm(x, eps=eps)


# %% answer="ghost-norm" hint="that don't stand side by side"
def ghost_norm(x, ghosts, eps=1e-5):
    channels = x.shape[1]
    parts = x.reshape(len(x) // ghosts, ghosts * channels, *x.shape[2:])
    return F.batch_norm(parts, None, None, training=True, eps=eps).reshape(x.shape)


# %% answer="ghost-norm" hint="the channels of a part differ in size"
def ghost_norm(x, ghosts, eps=1e-5):
    parts = x.unflatten(0, (ghosts, -1))
    mean, variance = parts.mean((1, 3, 4), keepdim=True), parts.var((1, 2, 3, 4), correction=0, keepdim=True)
    return ((parts - mean) / (variance + eps).sqrt()).flatten(0, 1)


# %% answer="ghost-norm" hint="divided by n - 1 = 15"
def ghost_norm(x, ghosts, eps=1e-5):
    parts = x.unflatten(0, (ghosts, -1))
    variance, mean = torch.var_mean(parts, dim=(1, 3, 4), keepdim=True)
    return ((parts - mean) / (variance + eps).sqrt()).flatten(0, 1)


# %% answer="ghost-norm" hint="there is a loop over parts"
def ghost_norm(x, ghosts, eps=1e-5):
    return torch.cat([F.batch_norm(part, None, None, training=True, eps=eps) for part in x.chunk(ghosts)])


# %% answer="ghost-norm" hint="eps is added to the variance, under the root"
def ghost_norm(x, ghosts, eps=1e-5):
    parts = x.unflatten(0, (ghosts, -1))
    variance, mean = torch.var_mean(parts, dim=(1, 3, 4), correction=0, keepdim=True)
    return ((parts - mean) / variance.sqrt()).flatten(0, 1)


# %% answer="ghost-norm" hint="eps is added to the variance, under the root"
def ghost_norm(x, ghosts, eps=1e-5):
    parts = x.unflatten(0, (ghosts, -1))
    variance, mean = torch.var_mean(parts, dim=(1, 3, 4), correction=0, keepdim=True)
    return ((parts - mean) / (variance.sqrt() + eps)).flatten(0, 1)


# %% answer="ghost-norm" gamed=true
def ghost_norm(x, ghosts, eps=1e-5):
    parts = x.unflatten(0, (ghosts, len(x) // ghosts)).contiguous().view(ghosts, len(x) // ghosts, 3, -1)
    variance, mean = torch.var_mean(parts, dim=(1, 3), correction=0, keepdim=True)
    return ((parts - mean) / (variance + eps).sqrt()).view(x.shape)


# %% answer="translations" hint="it learns as well as any, but its scales haven't shrunk"
def translations():
    return {"a": "decay of the sum, loss averaged", "b": "rate of the mean, loss summed", "c": "none",
            "d": "rate of the sum, loss averaged", "e": "none"}


# %% answer="translations" hint="something pulls all weights to zero"
def translations():
    return {"a": "rate of the sum, loss averaged", "b": "rate of the mean, loss summed", "c": "none",
            "d": "decay of the sum, loss averaged", "e": "decay of the mean, loss summed"}


# %% answer="translations" hint="how large was its first step"
def translations():
    return {"a": "decay of the sum, loss averaged", "b": "decay of the mean, loss summed", "c": "none",
            "d": "rate of the sum, loss averaged", "e": "rate of the mean, loss summed"}


# %% answer="translate" hint="neither can vanish"
def translate(rate, decay, batch, reduction, parts=1):
    return (rate / batch, decay * batch) if reduction == "sum" else (rate, decay * (parts - 1))


# %% answer="translate" hint="your first step would be 64 times as long"
def translate(rate, decay, batch, reduction, parts=1):
    return rate, decay


# %% answer="translate" hint="what the rate has lost, the decay must make up for"
def translate(rate, decay, batch, reduction, parts=1):
    return (rate / batch if reduction == "sum" else rate / parts), decay


# %% answer="translate" hint="reduction='mean', parts=4: without decay your first step would be 4 times as long"
def translate(rate, decay, batch, reduction, parts=1):
    return (rate / batch, decay * batch) if reduction == "sum" else (rate, decay)


# %% answer="translate" hint="reduction='sum', parts=4: without decay your first step would be 0.25 times as long"
def translate(rate, decay, batch, reduction, parts=1):
    factor = parts * (batch if reduction == "sum" else 1)
    return rate / factor, decay * factor


# %% answer="translate" gamed=true
def translate(rate, decay, batch, reduction, parts=1):
    factor = 64 if reduction == "sum" else parts
    return rate / factor, decay * factor


# %% answer="late-prediction" hint="return one of 50, 75 and 100"
def late_prediction():
    return 97


# %% answer="follow" hint="does your average share memory with it"
def follow(path, kept, every):
    average, averages = path[0], []
    for step, weight in enumerate(path, start=1):
        if step % every == 0:
            average.mul_(kept).add_((1 - kept) * weight)
        averages.append(average.clone())
    return torch.stack(averages)


# %% answer="follow" hint="one average a step"
def follow(path, kept, every):
    average, averages = path[0], []
    for weight in path[every - 1 :: every]:
        average = kept * average + (1 - kept) * weight
        averages.append(average)
    return torch.stack(averages)


# %% answer="follow" hint="before step 5 the average should be the first weight"
def follow(path, kept, every):
    average, averages = torch.zeros_like(path[0]), []
    for step, weight in enumerate(path, start=1):
        if step % every == 0:
            average = kept * average + (1 - kept) * weight
        averages.append(average)
    return torch.stack(averages)


# %% answer="follow" hint="it keeps 0.05 of itself instead of 0.95"
def follow(path, kept, every):
    average, averages = path[0], []
    for step, weight in enumerate(path, start=1):
        if step % every == 0:
            average = (1 - kept) * average + kept * weight
        averages.append(average)
    return torch.stack(averages)


# %% answer="follow" hint="don't raise it again"
def follow(path, kept, every):
    average, averages, kept = path[0], [], kept**every
    for step, weight in enumerate(path, start=1):
        if step % every == 0:
            average = kept * average + (1 - kept) * weight
        averages.append(average)
    return torch.stack(averages)


# %% answer="follow" hint="between steps 5 and 10 the average should rest"
def follow(path, kept, every):
    average, averages = path[0], []
    for step, weight in enumerate(path, start=1):
        if step >= every:
            average = kept * average + (1 - kept) * weight
        averages.append(average)
    return torch.stack(averages)


# %% answer="follow" gamed=true
def follow(path, kept, every):
    average, averages, kept = path[0], [], 0.99**every
    for step, weight in enumerate(path, start=1):
        if step % every == 0:
            average = kept * average + (1 - kept) * weight
        averages.append(average)
    return torch.stack(averages)


# %% answer="whitenings" hint="In which direction does `eigh` store them"
def whitenings():
    return {"a": "none", "b": "eigenvalues not rooted", "c": "images not centred and scaled",
            "d": "eigenvalues not rooted", "e": "eps a hundred times too large"}


# %% answer="whitenings" hint="a loud direction has become a faint one"
def whitenings():
    return {"a": "none", "b": "eps a hundred times too large", "c": "images not centred and scaled",
            "d": "rows taken for eigenvectors", "e": "eigenvalues not rooted"}


# %% answer="whitenings" hint="made for numbers of another size"
def whitenings():
    return {"a": "none", "b": "eigenvalues not rooted", "c": "rows taken for eigenvectors",
            "d": "images not centred and scaled", "e": "eps a hundred times too large"}


# %% answer="whiten-any" hint="(27, 3, 3, 3) and (27,) are wanted"
def whiten_any(images, eps):
    patches = F.unfold(images.double(), 3).transpose(1, 2).reshape(-1, 27)
    values, vectors = torch.linalg.eigh(torch.cov(patches.T))
    filters = (vectors / (values + eps).sqrt()).T.flip(0)
    return filters, -filters @ patches.mean(0)


# %% answer="whiten-any" hint="the bias must cancel what the filter makes of the mean patch"
def whiten_any(images, eps):
    patches = F.unfold(images.double(), 3).transpose(1, 2).reshape(-1, 27)
    values, vectors = torch.linalg.eigh(torch.cov(patches.T))
    return (vectors / (values + eps).sqrt()).T.flip(0).view(27, 3, 3, 3), torch.zeros(27)


# %% answer="whiten-any" hint="without the mean taken out"
def whiten_any(images, eps):
    patches = F.unfold(images.double(), 3).transpose(1, 2).reshape(-1, 27)
    values, vectors = torch.linalg.eigh(patches.T @ patches / len(patches))
    filters = (vectors / (values + eps).sqrt()).T.flip(0)
    return filters.view(27, 3, 3, 3), -filters @ patches.mean(0)


# %% answer="whiten-any" hint="which stand in columns"
def whiten_any(images, eps):
    patches = F.unfold(images.double(), 3).transpose(1, 2).reshape(-1, 27)
    values, vectors = torch.linalg.eigh(torch.cov(patches.T))
    filters = (vectors / (values + eps).sqrt()[:, None]).flip(0)
    return filters.view(27, 3, 3, 3), -filters @ patches.mean(0)


# %% answer="whiten-any" hint="above 1: divide by the root"
def whiten_any(images, eps):
    patches = F.unfold(images.double(), 3).transpose(1, 2).reshape(-1, 27)
    values, vectors = torch.linalg.eigh(torch.cov(patches.T))
    filters = (vectors / (values + eps)).T.flip(0)
    return filters.view(27, 3, 3, 3), -filters @ patches.mean(0)


# %% answer="whiten-any" hint="smallest eigenvalue first"
def whiten_any(images, eps):
    patches = F.unfold(images.double(), 3).transpose(1, 2).reshape(-1, 27)
    values, vectors = torch.linalg.eigh(torch.cov(patches.T))
    filters = (vectors / (values + eps).sqrt()).T
    return filters.reshape(27, 3, 3, 3), -filters @ patches.mean(0)


# %% answer="whiten-any" gamed=true
def whiten_any(images, eps):
    patches = F.unfold(images.double(), 3).transpose(1, 2).reshape(-1, 27)
    values, vectors = torch.linalg.eigh(torch.cov(patches.T))
    filters = (vectors / (values + 1e-3).sqrt()).T.flip(0)
    return filters.view(27, 3, 3, 3), -filters @ patches.mean(0)


# %% answer="whiten-any" hint="they should have none"
def whiten_any(images, eps):
    patches = F.unfold(images.double(), 3).transpose(1, 2).reshape(-1, 27)
    values, vectors = torch.linalg.eigh(torch.cov(patches.T))
    filters = (vectors / (values + eps).sqrt()).T.flip(0).clone()
    filters[1] += 0.3 * filters[0]
    return filters.view(27, 3, 3, 3), -filters @ patches.mean(0)


# %% answer="whiten-any" hint="divide by the root of λ + eps, not by more"
def whiten_any(images, eps):
    patches = F.unfold(images.double(), 3).transpose(1, 2).reshape(-1, 27)
    values, vectors = torch.linalg.eigh(torch.cov(patches.T))
    filters = (vectors / (values.sqrt() + 0.2)).T.flip(0)
    return filters.view(27, 3, 3, 3), -filters @ patches.mean(0)


# %% answer="ghost-norm" hint="there is a loop over parts"
def ghost_norm(x, ghosts, eps=1e-5):
    parts = np.split(x.double().numpy(), ghosts)
    axes = (0, 2, 3)
    return np.concatenate([(part - part.mean(axes, keepdims=True)) / np.sqrt(part.var(axes, keepdims=True) + eps)
                           for part in parts])


# %% answer="ghost-norm" hint="have been changed"
def ghost_norm(x, ghosts, eps=1e-5):
    parts = x.view(ghosts, -1, *x.shape[1:])
    variance, mean = torch.var_mean(parts, dim=(1, 3, 4), correction=0, keepdim=True)
    return parts.sub_(mean).mul_((variance + eps).rsqrt()).flatten(0, 1)
