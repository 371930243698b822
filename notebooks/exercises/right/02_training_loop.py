# %% answer="smoothed"
def smoothed(logits, labels, smoothing):
    truth = F.one_hot(labels, logits.shape[1])
    target = (1 - smoothing) * truth + smoothing / logits.shape[1]
    log_p = F.log_softmax(logits, dim=1)
    return (-(target * log_p).sum() / len(labels), (log_p.exp() - target) / len(labels))


# %% answer="smoothed"
def smoothed(logits, labels, smoothing):
    z = logits.numpy()
    z = z - z.max(axis=1, keepdims=True)
    p = torch.tensor(z).exp().numpy()
    p /= p.sum(axis=1, keepdims=True)
    target = torch.eye(z.shape[1])[labels].numpy() * (1 - smoothing) + smoothing / z.shape[1]
    log_p = z - torch.tensor(z).exp().sum(1, keepdim=True).log().numpy()
    return [-(target * log_p).sum(axis=1).mean(), (p - target) / len(z)]


# %% answer="accumulation-prediction"
def accumulation_prediction():
    return "same", "same"


# %% answer="accumulation-prediction"
def accumulation_prediction():
    return ["different", "same"]


# %% answer="accumulated"
def accumulated(model, images, labels, parts):
    for weight in model.parameters():
        weight.grad = None
    for some, targets in zip(images.tensor_split(parts), labels.tensor_split(parts), strict=True):
        (F.cross_entropy(model(some), targets, reduction="sum") / len(images)).backward()
    return torch.cat([weight.grad.reshape(-1) for weight in model.parameters()])


# %% answer="accumulated"
def accumulated(model, images, labels, parts):
    weights, total = list(model.parameters()), 0
    for some, targets in zip(images.tensor_split(parts), labels.tensor_split(parts), strict=True):
        loss = F.cross_entropy(model(some), targets)
        flat = torch.cat([each.flatten() for each in torch.autograd.grad(loss, weights)])
        total = total + flat * len(some)
    return total / len(images)


# %% answer="my-loop"
def my_loop(model, images, labels):
    sgd = new_sgd(model)

    def step():
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        sgd.step()
        sgd.zero_grad()
        return loss.detach()

    losses = [step() for _ in range(60)]
    model.train(False)
    return losses


# %% answer="my-loop"
def my_loop(model, images, labels):
    model.train()
    sgd, losses, loss_of = new_sgd(model), torch.zeros(60), nn.CrossEntropyLoss()
    for step in range(60):
        model.zero_grad()
        loss = loss_of(model(images), labels)
        loss.backward()
        sgd.step()
        losses[step] = loss.item()
    model.eval()
    return losses


# %% answer="clip"
def clip(parameters, limit):
    weights = [weight for weight in parameters if weight.grad is not None]
    length = torch.cat([weight.grad.flatten() for weight in weights]).norm()
    factor = (limit / (length + 1e-6)).clamp(max=1)
    for weight in weights:
        weight.grad.mul_(factor)
    return length


# %% answer="clip"
def clip(parameters, limit):
    kept = list(parameters)
    length = sum(float((weight.grad**2).sum()) for weight in kept if weight.grad is not None) ** 0.5
    for weight in kept:
        if weight.grad is not None and length > limit:
            weight.grad = weight.grad * (limit / length)
    return length
