# %% answer="smoothed" hint="what it is without smoothing"
def smoothed(logits, labels, smoothing):
    target = F.one_hot(labels, logits.shape[1])
    log_p = logits.log_softmax(1)
    return -(target * log_p).sum(1).mean(), (log_p.exp() - target) / len(labels)


# %% answer="smoothed" hint="spread over the *other* classes only"
def smoothed(logits, labels, smoothing):
    truth = F.one_hot(labels, logits.shape[1])
    target = (1 - smoothing) * truth + smoothing / (logits.shape[1] - 1) * (1 - truth)
    log_p = logits.log_softmax(1)
    return -(target * log_p).sum(1).mean(), (log_p.exp() - target) / len(labels)


# %% answer="smoothed" hint="the targets don't add up to one"
def smoothed(logits, labels, smoothing):
    target = F.one_hot(labels, logits.shape[1]) + smoothing / logits.shape[1]
    target = target.clamp(max=1 + smoothing / logits.shape[1])
    log_p = logits.log_softmax(1)
    return -(target * log_p).sum(1).mean(), (log_p.exp() - target) / len(labels)


# %% answer="smoothed" hint="logits of 1000 give a loss or gradient that is no number"
def smoothed(logits, labels, smoothing):
    target = (1 - smoothing) * F.one_hot(labels, logits.shape[1]) + smoothing / logits.shape[1]
    p = logits.softmax(1)
    return -(target * p.log()).sum(1).mean(), (p - target) / len(labels)


# %% answer="smoothed" hint="a row of your gradient doesn't add up to zero"
def smoothed(logits, labels, smoothing):
    target = (1 - smoothing) * F.one_hot(labels, logits.shape[1]) + smoothing / logits.shape[1]
    log_p = logits.log_softmax(1)
    return -(target * log_p).sum(1).mean(), (log_p.exp() - (1 - smoothing) * F.one_hot(labels)) / len(labels)


# %% answer="smoothed" hint="16 times the slope of your loss"
def smoothed(logits, labels, smoothing):
    target = (1 - smoothing) * F.one_hot(labels, logits.shape[1]) + smoothing / logits.shape[1]
    log_p = logits.log_softmax(1)
    return -(target * log_p).sum(1).mean(), log_p.exp() - target


# %% answer="smoothed" hint="has the wrong sign"
def smoothed(logits, labels, smoothing):
    target = (1 - smoothing) * F.one_hot(labels, logits.shape[1]) + smoothing / logits.shape[1]
    log_p = logits.log_softmax(1)
    return -(target * log_p).sum(1).mean(), (target - log_p.exp()) / len(labels)


# %% answer="smoothed" hint="the mean over the batch"
def smoothed(logits, labels, smoothing):
    target = (1 - smoothing) * F.one_hot(labels, logits.shape[1]) + smoothing / logits.shape[1]
    log_p = logits.log_softmax(1)
    return -(target * log_p).sum(1), (log_p.exp() - target) / len(labels)


# %% answer="smoothed" hint="should return 2 things"
def smoothed(logits, labels, smoothing):
    target = (1 - smoothing) * F.one_hot(labels, logits.shape[1]) + smoothing / logits.shape[1]
    return -(target * logits.log_softmax(1)).sum(1).mean()


# %% answer="smoothed" gamed=true
def smoothed(logits, labels, smoothing):
    target = (1 - smoothing) * F.one_hot(labels, logits.shape[1]) + smoothing / logits.shape[1]
    log_p = logits.log_softmax(1)
    return -(target * log_p).sum(1).mean(), (log_p.exp() - target) / 16


# %% answer="accumulation-prediction" hint="return two of"
def accumulation_prediction():
    return "the same for both"


# %% answer="accumulated" hint="four times too long"
def accumulated(model, images, labels, parts):
    model.zero_grad()
    for some, targets in zip(images.tensor_split(parts), labels.tensor_split(parts), strict=True):
        F.cross_entropy(model(some), targets).backward()
    return torch.cat([weight.grad.flatten() for weight in model.parameters()])


# %% answer="accumulated" hint="that of the last part alone"
def accumulated(model, images, labels, parts):
    for some, targets in zip(images.tensor_split(parts), labels.tensor_split(parts), strict=True):
        model.zero_grad()
        (F.cross_entropy(model(some), targets) / parts).backward()
    return torch.cat([weight.grad.flatten() for weight in model.parameters()])


# %% answer="accumulated" hint="called again, your function gives another gradient"
def accumulated(model, images, labels, parts):
    for some, targets in zip(images.tensor_split(parts), labels.tensor_split(parts), strict=True):
        (F.cross_entropy(model(some), targets) / parts).backward()
    return torch.cat([weight.grad.flatten().clone() for weight in model.parameters()])


# %% answer="accumulated" hint="weigh each part by its share of the images"
def accumulated(model, images, labels, parts):
    model.zero_grad()
    for some, targets in zip(images.tensor_split(parts), labels.tensor_split(parts), strict=True):
        (F.cross_entropy(model(some), targets) / parts).backward()
    return torch.cat([weight.grad.flatten() for weight in model.parameters()])


# %% answer="accumulated" hint="it should see 25 images at a time"
def accumulated(model, images, labels, parts):
    model.zero_grad()
    F.cross_entropy(model(images), labels).backward()
    return torch.cat([weight.grad.flatten() for weight in model.parameters()])


# %% answer="accumulated" gamed=true
def accumulated(model, images, labels, parts):
    model.zero_grad()
    for some, targets in zip(images.tensor_split(parts), labels.tensor_split(parts), strict=True):
        (F.cross_entropy(model(some), targets) * len(some) / 100).backward()
    return torch.cat([weight.grad.flatten() for weight in model.parameters()])


# %% answer="loops" hint="each step repeats what all earlier steps wanted"
def loops():
    return {"a": "scored in training mode", "b": "softmax twice", "c": "none", "d": "gradients pile up"}


# %% answer="loops" hint="which smallest loss is possible"
def loops():
    return {"a": "gradients pile up", "b": "none", "c": "none", "d": "scored in training mode"}


# %% answer="loops" hint="which layer looks at the whole batch, and when"
def loops():
    return {"a": "gradients pile up", "b": "softmax twice", "c": "none", "d": "none"}


# %% answer="loops" hint="don't depend on who shares the batch"
def loops():
    return {"a": "gradients pile up", "b": "softmax twice", "c": "scored in training mode", "d": "none"}


# %% answer="my-loop" hint="cross_entropy takes logits and does the softmax itself"
def my_loop(model, images, labels):
    sgd, losses = new_sgd(model), []
    for _ in range(60):
        loss = F.cross_entropy(model(images).softmax(1), labels)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        losses.append(loss.item())
    model.eval()
    return losses


# %% answer="my-loop" hint="are old gradients cleared before each backward"
def my_loop(model, images, labels):
    sgd, losses = new_sgd(model), []
    for _ in range(60):
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        sgd.step()
        losses.append(loss.item())
    model.eval()
    return losses


# %% answer="my-loop" hint="gradients are cleared between backward and step"
def my_loop(model, images, labels):
    sgd, losses = new_sgd(model), []
    for _ in range(60):
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        sgd.zero_grad()
        sgd.step()
        losses.append(loss.item())
    model.eval()
    return losses


# %% answer="my-loop" hint="left in training mode"
def my_loop(model, images, labels):
    sgd, losses = new_sgd(model), []
    for _ in range(60):
        loss = F.cross_entropy(model(images), labels)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        losses.append(loss.item())
    return losses


# %% answer="my-loop" hint="is it the mean over the batch"
def my_loop(model, images, labels):
    sgd, losses = new_sgd(model), []
    for _ in range(60):
        loss = F.cross_entropy(model(images), labels, reduction="sum")
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        losses.append(loss.item())
    model.eval()
    return losses


# %% answer="my-loop" gamed=true
def my_loop(model, images, labels):
    sgd, losses = new_sgd(model), []
    for _ in range(60):
        loss = F.cross_entropy(model(x), y)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        losses.append(loss.item())
    model.eval()
    return losses


# %% answer="clip" hint="lengths of parts don't add up"
def clip(parameters, limit):
    gradients = [weight.grad for weight in parameters if weight.grad is not None]
    length = sum(gradient.norm() for gradient in gradients)
    for gradient in gradients:
        gradient *= min(1, limit / length)
    return length


# %% answer="clip" hint="can be gone through only once"
def clip(parameters, limit):
    length = sum((weight.grad**2).sum() for weight in parameters if weight.grad is not None).sqrt()
    if length > limit:
        for weight in parameters:
            weight.grad *= limit / length
    return length


# %% answer="clip" hint="every part was clipped by itself"
def clip(parameters, limit):
    gradients = [weight.grad for weight in parameters if weight.grad is not None]
    length = sum(gradient.square().sum() for gradient in gradients).sqrt()
    for gradient in gradients:
        gradient *= min(1, limit / 2 / gradient.norm())
    return length


# %% answer="clip" hint="scaled up"
def clip(parameters, limit):
    gradients = [weight.grad for weight in parameters if weight.grad is not None]
    length = sum(gradient.square().sum() for gradient in gradients).sqrt()
    for gradient in gradients:
        gradient *= limit / length
    return length


# %% answer="clip" hint="you return the length after clipping"
def clip(parameters, limit):
    gradients = [weight.grad for weight in parameters if weight.grad is not None]
    length = sum(gradient.square().sum() for gradient in gradients).sqrt()
    for gradient in gradients:
        gradient *= min(1, limit / length)
    return sum(gradient.square().sum() for gradient in gradients).sqrt()


# %% answer="clip" hint="clip returns nothing"
def clip(parameters, limit):
    gradients = [weight.grad for weight in parameters if weight.grad is not None]
    length = sum(gradient.square().sum() for gradient in gradients).sqrt()
    for gradient in gradients:
        gradient *= min(1, limit / length)


# %% answer="smoothed" hint="calls `cross_entropy`"
def smoothed(logits, labels, smoothing):
    target = (1 - smoothing) * F.one_hot(labels, logits.shape[1]) + smoothing / logits.shape[1]
    return F.cross_entropy(logits, labels, label_smoothing=smoothing), (logits.softmax(1) - target) / len(labels)


# %% answer="smoothed" hint="calls `grad`"
def smoothed(logits, labels, smoothing):
    logits = logits.clone().requires_grad_()
    target = (1 - smoothing) * F.one_hot(labels, logits.shape[1]) + smoothing / logits.shape[1]
    loss = -(target * logits.log_softmax(1)).sum(1).mean()
    return loss, torch.autograd.grad(loss, logits)[0]


# %% answer="smoothed" hint="calls `backward`"
def smoothed(logits, labels, smoothing):
    logits = logits.clone().requires_grad_()
    target = (1 - smoothing) * F.one_hot(labels, logits.shape[1]) + smoothing / logits.shape[1]
    loss = -(target * logits.log_softmax(1)).sum(1).mean()
    loss.backward()
    return loss.detach(), logits.grad


# %% answer="accumulated" hint="should leave in it"
def accumulated(model, images, labels, parts):
    model.eval()
    model.zero_grad()
    for some, targets in zip(images.tensor_split(parts), labels.tensor_split(parts), strict=True):
        (len(some) / len(images) * F.cross_entropy(model(some), targets)).backward()
    return torch.cat([weight.grad.flatten() for weight in model.parameters()])


# %% answer="my-loop" hint="sixty steps on all fifty were asked for"
def my_loop(model, images, labels):
    sgd, losses = new_sgd(model), []
    for _ in range(120):
        loss = F.cross_entropy(model(images), labels)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        losses.append(loss.item())
    model.eval()
    return losses[:60]


# %% answer="clip" hint="calls `clip_grad_norm_`"
def clip(parameters, limit):
    return torch.nn.utils.clip_grad_norm_(parameters, limit)


# %% answer="clip" hint="calls `get_total_norm`"
def clip(parameters, limit):
    from torch.nn.utils import get_total_norm
    weights = [weight for weight in parameters if weight.grad is not None]
    length = get_total_norm([weight.grad for weight in weights])
    for weight in weights:
        weight.grad *= min(1, limit / length)
    return length


# %% answer="smoothed" hint="16 images take more operations than 4"
def smoothed(logits, labels, smoothing):
    def loss(values):
        target = torch.full_like(values, smoothing / values.shape[1])
        target[torch.arange(len(labels)), labels] += 1 - smoothing
        return -(target * (values - values.logsumexp(1, keepdim=True))).sum(1).mean()

    values = logits.double()
    slopes = torch.zeros_like(values)
    for index in range(values.numel()):
        step = torch.zeros_like(values)
        step.view(-1)[index] = 1e-5
        slopes.view(-1)[index] = (loss(values + step) - loss(values - step)) / 2e-5
    return loss(values), slopes
