# %% answer="warmup-cosine"
def warmup_cosine(progress, warmup, peak, final=0.0):
    way_down = max(0.0, (progress - warmup) / (1 - warmup))
    cosine = final + (peak - final) * math.cos(math.pi / 2 * way_down) ** 2
    return cosine * min(1.0, progress / warmup)


# %% answer="warmup-cosine"
def warmup_cosine(progress, warmup, peak, final=0.0):
    if progress <= warmup:
        return np.interp(progress, [0, warmup], [0, peak])
    angle = torch.tensor((progress - warmup) / (1 - warmup), dtype=torch.float64) * torch.pi
    return torch.lerp(torch.tensor(final).double(), torch.tensor(peak).double(), (1 + angle.cos()) / 2)


# %% answer="mean-prediction"
def mean_prediction():
    return 1


# %% answer="mean-prediction"
def mean_prediction():
    return 2


# %% answer="edge"
def edge(features):
    return 2 * len(features) / torch.linalg.matrix_norm(features, ord=2) ** 2


# %% answer="edge"
def edge(features):
    x = features.numpy()
    weights = np.ones(x.shape[1])
    for _ in range(3000):
        weights = x.T @ (x @ weights) / len(x)
        curvature = np.linalg.norm(weights)
        weights /= curvature
    return np.array([2 / curvature])


# %% answer="cycle-train"
def train(model, optimizer, scheduler, epochs, epoch_batches):
    history = []
    for _ in range(epochs):
        for inputs, targets in epoch_batches():
            group = optimizer.param_groups[0]
            rate = group["lr"]
            optimizer.zero_grad()
            loss = F.cross_entropy(model(inputs), targets)
            loss.backward()
            optimizer.step()
            scheduler.step()
            history.append((rate, loss.item()))
    return tuple(zip(*history, strict=True))


# %% answer="cycle-train"
def train(model, optimizer, scheduler, epochs, epoch_batches):
    batches = [batch for _ in range(epochs) for batch in epoch_batches()]
    rates, losses = torch.zeros(len(batches), dtype=torch.float64), torch.zeros(len(batches))
    for step, batch in enumerate(batches):
        (rates[step],) = scheduler.get_last_lr()
        losses[step] = one_step(model, optimizer, *batch)
        scheduler.step()
    return rates, losses
