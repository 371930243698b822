# %% answer="stack" hint="the matrices handed in have been changed"
def orthogonalise_stack(matrices, rounds=3):
    a, b, c = COEFFICIENTS
    x = matrices.div_(matrices.norm(dim=(1, 2), keepdim=True))
    for _ in range(rounds):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x


# %% answer="stack" hint="it should come back as it came in"
def orthogonalise_stack(matrices, rounds=3):
    return torch.stack([optimizers.orthogonalise(each, rounds) for each in matrices])


# %% answer="stack" hint="is each matrix divided by its norm first"
def orthogonalise_stack(matrices, rounds=3):
    a, b, c = COEFFICIENTS
    x = matrices
    for _ in range(rounds):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x


# %% answer="stack" hint="each is divided by its *own* norm"
def orthogonalise_stack(matrices, rounds=3):
    a, b, c = COEFFICIENTS
    x = matrices / matrices.norm()
    for _ in range(rounds):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x


# %% answer="stack" hint="a matrix of singular values 0.003 and 0.004 comes out with"
def orthogonalise_stack(matrices, rounds=3):
    a, b, c = COEFFICIENTS
    x = matrices / matrices.norm(dim=(1, 2), keepdim=True).clamp_min(1)
    for _ in range(rounds):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x


# %% answer="stack" hint="three rounds of the quintic make them"
def orthogonalise_stack(matrices, rounds=3):
    x = matrices / matrices.norm(dim=(1, 2), keepdim=True)
    for _ in range(rounds):
        x = 1.5 * x - 0.5 * x @ x.mT @ x
    return x


# %% answer="stack" hint="tall matrices (3, 40, 5) come out as (3, 5, 40)"
def orthogonalise_stack(matrices, rounds=3):
    a, b, c = COEFFICIENTS
    x = matrices / matrices.norm(dim=(1, 2), keepdim=True)
    x = x.mT if x.shape[1] > x.shape[2] else x
    for _ in range(rounds):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x


# %% answer="stack" hint="40 x 40: the smaller square is 5 x 5"
def orthogonalise_stack(matrices, rounds=3):
    a, b, c = COEFFICIENTS
    x = matrices / matrices.norm(dim=(1, 2), keepdim=True)
    for _ in range(rounds):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x


# %% answer="stack" hint="there is a loop over matrices"
def orthogonalise_stack(matrices, rounds=3):
    a, b, c = COEFFICIENTS
    done = []
    for x in matrices:
        x = x / x.norm()
        tall = len(x) > x.shape[1]
        x = x.T if tall else x
        for _ in range(rounds):
            square = x @ x.T
            x = a * x + (b * square + c * square @ square) @ x
        done.append(x.T if tall else x)
    return torch.stack(done)


# %% answer="stack" gamed=true
def orthogonalise_stack(matrices, rounds=3):
    a, b, c = COEFFICIENTS
    x = matrices / matrices.norm(dim=(1, 2), keepdim=True)
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    for _ in range(3):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x


# %% answer="stack" hint="orthogonalise_stack calls `linalg_svd`"
def orthogonalise_stack(matrices, rounds=3):
    u, s, v = torch.linalg.svd(matrices, full_matrices=False)
    s = s / s.norm(dim=1, keepdim=True)
    for _ in range(rounds):
        s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
    return (u * s[:, None]) @ v


# %% answer="stack" hint="there is a loop over matrices"
def orthogonalise_stack(matrices, rounds=3):
    a, b, c = COEFFICIENTS
    done = np.empty(matrices.shape, dtype=np.float32)
    for number, x in enumerate(matrices.numpy()):
        tall = len(x) > x.shape[1]
        x = (x.T if tall else x) / np.linalg.norm(x)
        for _ in range(rounds):
            square = x @ x.T
            x = a * x + (b * square + c * square @ square) @ x
        done[number] = x.T if tall else x
    return done


# %% answer="memory-prediction" hint="return one of 10, 100 and 1000"
def memory_prediction():
    return 97


# %% answer="memory" hint="one cosine for each of 200 steps"
def memory(make, scale, steps, generator):
    bank = nn.Parameter(torch.randn(32, 16, 3, 3, generator=generator))
    start, optimizer = bank.detach().clone(), make(bank)
    for _ in range(steps):
        bank.grad = scale * torch.randn(bank.shape, generator=generator)
        optimizer.step()
    return torch.cosine_similarity(start.flatten(), bank.detach().flatten(), dim=0)


# %% answer="memory" hint="your largest cosine is"
def memory(make, scale, steps, generator):
    bank = nn.Parameter(torch.randn(32, 16, 3, 3, generator=generator))
    start, optimizer, alike = bank.detach().clone(), make(bank), []
    for _ in range(steps):
        bank.grad = scale * torch.randn(bank.shape, generator=generator)
        optimizer.step()
        alike.append((start * bank.detach()).sum())
    return torch.stack(alike)


# %% answer="memory" hint="divide by the lengths of *both* banks"
def memory(make, scale, steps, generator):
    bank = nn.Parameter(torch.randn(32, 16, 3, 3, generator=generator))
    start, optimizer, alike = bank.detach().clone(), make(bank), []
    for _ in range(steps):
        bank.grad = scale * torch.randn(bank.shape, generator=generator)
        optimizer.step()
        alike.append((start * bank.detach()).sum() / start.norm() ** 2)
    return torch.stack(alike)


# %% answer="memory" hint="is the start a copy"
def memory(make, scale, steps, generator):
    bank = nn.Parameter(torch.randn(32, 16, 3, 3, generator=generator))
    start, optimizer, alike = bank.detach(), make(bank), []
    for _ in range(steps):
        bank.grad = scale * torch.randn(bank.shape, generator=generator)
        optimizer.step()
        alike.append(torch.cosine_similarity(start.flatten(), bank.detach().flatten(), dim=0))
    return torch.stack(alike)


# %% answer="memory" hint="the first one asked for is that *after* the first step"
def memory(make, scale, steps, generator):
    bank = nn.Parameter(torch.randn(32, 16, 3, 3, generator=generator))
    start, optimizer, alike = bank.detach().clone(), make(bank), []
    for _ in range(steps):
        alike.append(torch.cosine_similarity(start.flatten(), bank.detach().flatten(), dim=0))
        bank.grad = scale * torch.randn(bank.shape, generator=generator)
        optimizer.step()
    return torch.stack(alike)


# %% answer="memory" hint="compare with the start"
def memory(make, scale, steps, generator):
    bank = nn.Parameter(torch.randn(32, 16, 3, 3, generator=generator))
    optimizer, alike = make(bank), []
    for _ in range(steps):
        before = bank.detach().clone()
        bank.grad = scale * torch.randn(bank.shape, generator=generator)
        optimizer.step()
        alike.append(torch.cosine_similarity(before.flatten(), bank.detach().flatten(), dim=0))
    return torch.stack(alike)


# %% answer="memory" hint="is it the same gradient in every step"
def memory(make, scale, steps, generator):
    bank = nn.Parameter(torch.randn(32, 16, 3, 3, generator=generator))
    start, optimizer, alike = bank.detach().clone(), make(bank), []
    bank.grad = scale * torch.randn(bank.shape, generator=generator)
    for _ in range(steps):
        optimizer.step()
        alike.append(torch.cosine_similarity(start.flatten(), bank.detach().flatten(), dim=0))
    return torch.stack(alike)


# %% answer="memory" hint="your cosine falls to a half after"
def memory(make, scale, steps, generator):
    bank = nn.Parameter(torch.randn(32, 16, 3, 3, generator=generator))
    start, optimizer, alike = bank.detach().clone(), make(bank), []
    for _ in range(steps):
        bank.grad = scale * torch.randn(bank.shape, generator=generator)
        optimizer.step()
        alike.append(torch.cosine_similarity(start.flatten(), bank.detach().flatten(), dim=0) ** 2)
    return torch.stack(alike)


# %% answer="memory" hint="is `scale` used"
def memory(make, scale, steps, generator):
    bank = nn.Parameter(torch.randn(32, 16, 3, 3, generator=generator))
    start, optimizer, alike = bank.detach().clone(), make(bank), []
    for _ in range(steps):
        bank.grad = torch.randn(bank.shape, generator=generator)
        optimizer.step()
        alike.append(torch.cosine_similarity(start.flatten(), bank.detach().flatten(), dim=0))
    return torch.stack(alike)


# %% answer="memory" hint="we find about 145"
def memory(make, scale, steps, generator):
    return (1 + 0.12**2) ** (-torch.arange(1, steps + 1) / 2)


# %% answer="memory" hint="draw bank and gradients from it alone"
def memory(make, scale, steps, generator):
    bank = nn.Parameter(torch.randn(32, 16, 3, 3))
    start, optimizer, alike = bank.detach().clone(), make(bank), []
    for _ in range(steps):
        bank.grad = scale * torch.randn(bank.shape)
        optimizer.step()
        alike.append(torch.cosine_similarity(start.flatten(), bank.detach().flatten(), dim=0))
    return torch.stack(alike)


# %% answer="muons" hint="how many singular values were set to 1"
def muons():
    return {"a": "bank never rescaled", "b": "momentum after orthogonalising", "c": "not divided by its norm",
            "d": "none", "e": "none"}


# %% answer="muons" hint="what is added up after it"
def muons():
    return {"a": "bank never rescaled", "b": "not divided by its norm", "c": "momentum after orthogonalising",
            "d": "none", "e": "matrix of the wrong shape"}


# %% answer="muons" hint="look at the last column"
def muons():
    return {"a": "none", "b": "momentum after orthogonalising", "c": "not divided by its norm",
            "d": "bank never rescaled", "e": "matrix of the wrong shape"}


# %% answer="grouped" hint="change it in place"
def grouped_step(bank, gradient, buffer, rate, momentum, groups=1):
    buffer.mul_(momentum).add_(gradient)
    ahead = gradient + momentum * buffer
    return bank - rate * optimizers.orthogonalise(ahead.flatten(1)).view_as(bank).float()


# %% answer="grouped" hint="the buffer is still zero"
def grouped_step(bank, gradient, buffer, rate, momentum, groups=1):
    buffer = momentum * buffer + gradient
    for part, ahead in zip(bank.chunk(groups), (gradient + momentum * buffer).chunk(groups), strict=True):
        part.mul_(len(part) ** 0.5 / part.norm())
        part.sub_(rate * optimizers.orthogonalise(ahead.flatten(1)).view_as(part).float())


# %% answer="grouped" hint="the buffer holds the last gradient alone"
def grouped_step(bank, gradient, buffer, rate, momentum, groups=1):
    for part, ahead in zip(bank.chunk(groups), (gradient + momentum * buffer).chunk(groups), strict=True):
        part.mul_(len(part) ** 0.5 / part.norm())
        part.sub_(rate * optimizers.orthogonalise(ahead.flatten(1)).view_as(part).float())
    buffer.copy_(gradient)


# %% answer="grouped" hint="your step goes uphill"
def grouped_step(bank, gradient, buffer, rate, momentum, groups=1):
    buffer.mul_(momentum).add_(gradient)
    for part, ahead in zip(bank.chunk(groups), (gradient + momentum * buffer).chunk(groups), strict=True):
        part.mul_(len(part) ** 0.5 / part.norm())
        part.add_(rate * optimizers.orthogonalise(ahead.flatten(1)).view_as(part).float())


# %% answer="grouped" hint="rescale it before each step"
def grouped_step(bank, gradient, buffer, rate, momentum, groups=1):
    buffer.mul_(momentum).add_(gradient)
    for part, ahead in zip(bank.chunk(groups), (gradient + momentum * buffer).chunk(groups), strict=True):
        part.sub_(rate * optimizers.orthogonalise(ahead.flatten(1)).view_as(part).float())


# %% answer="grouped" hint="nothing is added behind"
def grouped_step(bank, gradient, buffer, rate, momentum, groups=1):
    for part, slope, own in zip(bank.chunk(groups), gradient.chunk(groups), buffer.chunk(groups), strict=True):
        direction = optimizers.orthogonalise(slope.flatten(1)).view_as(part).float()
        own.mul_(momentum).add_(direction)
        part.mul_(len(part) ** 0.5 / part.norm())
        part.sub_(rate * (direction + momentum * own))


# %% answer="grouped" hint="the iteration needs a matrix divided by its norm"
def grouped_step(bank, gradient, buffer, rate, momentum, groups=1):
    buffer.mul_(momentum).add_(gradient)
    for part, ahead in zip(bank.chunk(groups), (gradient + momentum * buffer).chunk(groups), strict=True):
        part.mul_(len(part) ** 0.5 / part.norm())
        part.sub_(rate * iterate(ahead.flatten(1)).view_as(part))


# %% answer="grouped" hint="a row for each *filter*"
def grouped_step(bank, gradient, buffer, rate, momentum, groups=1):
    buffer.mul_(momentum).add_(gradient)
    for part, ahead in zip(bank.chunk(groups), (gradient + momentum * buffer).chunk(groups), strict=True):
        part.mul_(len(part) ** 0.5 / part.norm())
        part.sub_(rate * optimizers.orthogonalise(ahead.reshape(-1, 9)).view_as(part).float())


# %% answer="grouped" hint="is Nesterov's look ahead"
def grouped_step(bank, gradient, buffer, rate, momentum, groups=1):
    buffer.mul_(momentum).add_(gradient)
    for part, own in zip(bank.chunk(groups), buffer.chunk(groups), strict=True):
        part.mul_(len(part) ** 0.5 / part.norm())
        part.sub_(rate * optimizers.orthogonalise(own.flatten(1)).view_as(part).float())


# %% answer="grouped" hint="is `groups` used"
def grouped_step(bank, gradient, buffer, rate, momentum, groups=1):
    buffer.mul_(momentum).add_(gradient)
    update = optimizers.orthogonalise((gradient + momentum * buffer).flatten(1)).view_as(bank).float()
    bank.mul_(len(bank) ** 0.5 / bank.norm()).sub_(rate * update)


# %% answer="grouped" hint="they share what each should have for itself"
def grouped_step(bank, gradient, buffer, rate, momentum, groups=1):
    buffer.mul_(momentum).add_(gradient)
    update = optimizers.orthogonalise((gradient + momentum * buffer).flatten(1)).view_as(bank).float()
    for part, towards in zip(bank.chunk(groups), update.chunk(groups), strict=True):
        part.mul_(len(part) ** 0.5 / part.norm())
        part.sub_(rate * towards)


# %% answer="grouped" hint="Is each group's part of the bank scaled by itself"
def grouped_step(bank, gradient, buffer, rate, momentum, groups=1):
    buffer.mul_(momentum).add_(gradient)
    for part, ahead in zip(bank.chunk(groups), (gradient + momentum * buffer).chunk(groups), strict=True):
        part.mul_(8 / part.norm()).sub_(rate * optimizers.orthogonalise(ahead.flatten(1)).view_as(part).float())


# %% answer="grouped" gamed=true
def grouped_step(bank, gradient, buffer, rate, momentum, groups=1):
    buffer.mul_(0.6).add_(gradient)
    for part, ahead in zip(bank.chunk(groups), (gradient + 0.6 * buffer).chunk(groups), strict=True):
        part.mul_(len(part) ** 0.5 / part.norm())
        part.sub_(0.12 * optimizers.orthogonalise(ahead.flatten(1)).view_as(part).float())


# %% answer="grouped" hint="only bank and buffer may be"
def grouped_step(bank, gradient, buffer, rate, momentum, groups=1):
    buffer.mul_(momentum).add_(gradient)
    gradient.add_(momentum * buffer)
    for part, ahead in zip(bank.chunk(groups), gradient.chunk(groups), strict=True):
        part.mul_(len(part) ** 0.5 / part.norm())
        part.sub_(rate * optimizers.orthogonalise(ahead.flatten(1)).view_as(part).float())


# %% answer="stack" hint="write them with PyTorch's operations"
def orthogonalise_stack(matrices, rounds=3):
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrices.numpy()
    x = x / np.linalg.norm(x, axis=(1, 2), keepdims=True)
    for _ in range(rounds):
        square = x @ x.transpose(0, 2, 1)
        x = a * x + (b * square + c * square @ square) @ x
    return x
