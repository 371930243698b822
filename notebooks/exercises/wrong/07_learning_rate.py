# %% answer="warmup-cosine" hint="a straight line from 0 to 0.4"
def warmup_cosine(progress, warmup, peak, final=0.0):
    way = max(0, (progress - warmup) / (1 - warmup))
    return final + (peak - final) * (1 + math.cos(math.pi * way)) / 2


# %% answer="warmup-cosine" hint="1 + cos runs from 2 to 0"
def warmup_cosine(progress, warmup, peak, final=0.0):
    if progress < warmup:
        return peak * progress / warmup
    return final + (peak - final) * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


# %% answer="warmup-cosine" hint="your rate peaks at 0.42"
def warmup_cosine(progress, warmup, peak, final=0.0):
    if progress < warmup:
        return peak * progress / warmup
    return final + peak * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup))) / 2


# %% answer="warmup-cosine" hint="there the cosine should *begin*"
def warmup_cosine(progress, warmup, peak, final=0.0):
    if progress < warmup:
        return peak * progress / warmup
    return final + (peak - final) * (1 + math.cos(math.pi * progress)) / 2


# %% answer="warmup-cosine" hint="Half a period is an angle from 0 to pi"
def warmup_cosine(progress, warmup, peak, final=0.0):
    if progress < warmup:
        return peak * progress / warmup
    return final + (peak - final) * (1 + math.cos(2 * math.pi * (progress - warmup) / (1 - warmup))) / 2


# %% answer="warmup-cosine" hint="not at its final value, 0.02"
def warmup_cosine(progress, warmup, peak, final=0.0):
    if progress < warmup:
        return peak * progress / warmup
    return peak * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup))) / 2


# %% answer="warmup-cosine" hint="in a straight line: nothing flat"
def warmup_cosine(progress, warmup, peak, final=0.0):
    if progress < warmup:
        return peak * progress / warmup
    return peak + (final - peak) * (progress - warmup) / (1 - warmup)


# %% answer="warmup-cosine" hint="already below the middle"
def warmup_cosine(progress, warmup, peak, final=0.0):
    if progress < warmup:
        return peak * progress / warmup
    return peak * (final / peak) ** ((progress - warmup) / (1 - warmup))


# %% answer="warmup-cosine" hint="half a cosine is then in the middle"
def warmup_cosine(progress, warmup, peak, final=0.0):
    if progress < warmup:
        return peak * progress / warmup
    return final + (peak - final) * math.cos(math.pi / 2 * (progress - warmup) / (1 - warmup))


# %% answer="warmup-cosine" gamed=true
def warmup_cosine(progress, warmup, peak, final=0.0):
    if progress < 0.2:
        return 2 * progress
    return 0.02 + 0.19 * (1 + math.cos(math.pi * (progress - 0.2) / 0.8))


# %% answer="mean-prediction" hint="return one of 1, 2 and 10"
def mean_prediction():
    return "more"


# %% answer="edge" hint="that is 1/a"
def edge(features):
    return 1 / torch.linalg.eigvalsh(features.T @ features / len(features))[-1].item()


# %% answer="edge" hint="f is a *mean* over 1,000 images"
def edge(features):
    return 2 / torch.linalg.eigvalsh(features.T @ features)[-1].item()


# %% answer="edge" hint="that belongs to the smallest curvature"
def edge(features):
    return 2 / torch.linalg.eigvalsh(features.T @ features / len(features))[0].item()


# %% answer="edge" hint="your function subtracts the mean by itself"
def edge(features):
    return 2 / torch.linalg.eigvalsh(torch.cov(features.T))[-1].item()


# %% answer="edge" hint="is it an eigenvalue of X'X / N"
def edge(features):
    return 2 / torch.linalg.svdvals(features / len(features) ** 0.5)[0].item()


# %% answer="edge" hint="so the edge lies higher"
def edge(features):
    return 2 / (features.square().sum() / len(features)).item()


# %% answer="edge" gamed=true
def edge(features):
    return 2 / torch.linalg.eigvalsh(features.T @ features / 1000)[-1].item()


# %% answer="curves" hint="what throws weights so far"
def faults():
    return {"a": "rate far too large", "b": "never comes down", "c": "none", "d": "rate far too small",
            "e": "drops too early"}


# %% answer="curves" hint="a smooth curve that has hardly begun to fall"
def faults():
    return {"a": "never comes down", "b": "rate far too large", "c": "none", "d": "drops too early",
            "e": "rate far too small"}


# %% answer="curves" hint="far above the floor"
def faults():
    return {"a": "drops too early", "b": "rate far too large", "c": "none", "d": "rate far too small",
            "e": "never comes down"}


# %% answer="curves" hint="look at the scatter of its last twenty steps"
def faults():
    return {"a": "none", "b": "rate far too large", "c": "never comes down", "d": "rate far too small",
            "e": "drops too early"}


# %% answer="cycle-diagnosis" hint="how near to the peak, 0.2, do they come"
def diagnosis():
    return "peak too low"


# %% answer="cycle-diagnosis" hint="it should be long over"
def diagnosis():
    return "warm-up too long"


# %% answer="cycle-diagnosis" hint="that is not in the list"
def diagnosis():
    return "one-cycle doesn't work"


# %% answer="cycle-train" hint="must turn after every batch, not every epoch"
def train(model, optimizer, scheduler, epochs, epoch_batches):
    rates, history = [], []
    for _ in range(epochs):
        for inputs, targets in epoch_batches():
            rates.append(optimizer.param_groups[0]["lr"])
            history.append(one_step(model, optimizer, inputs, targets))
        scheduler.step()
    return rates, history


# %% answer="cycle-train" hint="one of each for every step"
def train(model, optimizer, scheduler, epochs, epoch_batches):
    rates, history = [], []
    for _ in range(epochs):
        for inputs, targets in epoch_batches():
            history.append(one_step(model, optimizer, inputs, targets))
            scheduler.step()
        rates.append(optimizer.param_groups[0]["lr"])
    return rates, history


# %% answer="cycle-train" hint="read it before the step"
def train(model, optimizer, scheduler, epochs, epoch_batches):
    rates, history = [], []
    for _ in range(epochs):
        for inputs, targets in epoch_batches():
            history.append(one_step(model, optimizer, inputs, targets))
            scheduler.step()
            rates.append(scheduler.get_last_lr()[0])
    return rates, history


# %% answer="cycle-train" hint="each epoch gets its own"
def train(model, optimizer, scheduler, epochs, epoch_batches):
    rates, history = [], []
    for inputs, targets in epoch_batches():
        for _ in range(epochs):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
            history.append(F.cross_entropy(model(inputs), targets).item())
    return rates, history


# %% answer="cycle-train" gamed=true
def train(model, optimizer, scheduler, epochs, epoch_batches):
    rates, history = [], []
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.2, total_steps=121, cycle_momentum=False)
    for _ in range(epochs):
        for inputs, targets in epoch_batches():
            rates.append(optimizer.param_groups[0]["lr"])
            history.append(one_step(model, optimizer, inputs, targets))
            cycle.step()
    return rates, history


# %% answer="cycle-train" hint="is every batch trained on"
def train(model, optimizer, scheduler, epochs, epoch_batches):
    rates, history = [], []
    for _ in range(epochs):
        for inputs, targets in epoch_batches():
            rates.append(optimizer.param_groups[0]["lr"])
            history.append(F.cross_entropy(model(inputs), targets).item())
            optimizer.step()
            scheduler.step()
    return rates, history


# %% answer="edge" hint="take X as it comes"
def edge(features):
    features -= features.mean(0)
    return 2 / torch.linalg.eigvalsh(features.T @ features / len(features))[-1]
