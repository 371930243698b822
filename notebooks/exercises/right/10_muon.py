# %% answer="stack"
def orthogonalise_stack(matrices, rounds=3):
    if matrices.shape[-2] > matrices.shape[-1]:
        return orthogonalise_stack(matrices.transpose(1, 2), rounds).transpose(1, 2)
    x = matrices / matrices.square().sum((1, 2), keepdim=True).sqrt().clamp_min(1e-12)
    for _ in range(rounds):
        square = torch.bmm(x, x.transpose(1, 2))
        mixed = torch.baddbmm(square, square, square, beta=COEFFICIENTS[1], alpha=COEFFICIENTS[2])
        x = torch.baddbmm(x, mixed, x, beta=COEFFICIENTS[0])
    return x


# %% answer="stack"
def orthogonalise_stack(matrices, rounds=3):
    a, b, c = COEFFICIENTS
    x = matrices / (matrices.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
    wide = x.shape[1] <= x.shape[2]
    for _ in range(rounds):
        square = torch.einsum("bij,bkj->bik" if wide else "bji,bjk->bik", x, x)
        identity = torch.eye(square.shape[-1], dtype=x.dtype)
        polynomial = a * identity + b * square + c * torch.einsum("bij,bjk->bik", square, square)
        x = polynomial @ x if wide else x @ polynomial
    return x


# %% answer="memory-prediction"
def memory_prediction():
    return 10


# %% answer="memory-prediction"
def memory_prediction():
    return 1000


# %% answer="memory"
def memory(make, scale, steps, generator):
    bank = nn.Parameter(torch.empty(32, 16, 3, 3).normal_(generator=generator))
    start, optimizer = bank.data.clone(), make(bank)

    def step():
        optimizer.zero_grad()
        bank.grad = torch.randn(bank.shape, generator=generator).mul_(scale)
        optimizer.step()
        return ((start * bank.data).sum() / start.norm() / bank.data.norm()).item()

    return [step() for _ in range(steps)]


# %% answer="memory"
def memory(make, scale, steps, generator):
    bank = torch.nn.Parameter(torch.normal(0.0, 1.0, (32, 16, 3, 3), generator=generator))
    start, optimizer, alike = bank.detach().numpy().ravel().copy(), make(bank), np.empty(steps)
    for number in range(steps):
        bank.grad = torch.normal(0.0, scale, bank.shape, generator=generator)
        optimizer.step()
        now = bank.detach().numpy().ravel()
        alike[number] = start @ now / np.sqrt((start @ start) * (now @ now))
    return alike


# %% answer="grouped"
@torch.no_grad()
def grouped_step(bank, gradient, buffer, rate, momentum, groups=1):
    buffer.mul_(momentum).add_(gradient)
    ahead = gradient.add(buffer, alpha=momentum)
    size = len(bank) // groups
    for first in range(0, len(bank), size):
        part = bank[first : first + size]
        update = optimizers.orthogonalise(ahead[first : first + size].reshape(size, -1)).reshape(part.shape).float()
        bank[first : first + size] = part * (size**0.5 / part.norm()) - rate * update
    return bank


# %% answer="grouped"
def grouped_step(bank, gradient, buffer, rate, momentum, groups=1):
    buffer += (momentum - 1) * buffer + gradient
    towards = gradient + momentum * buffer
    parts = bank.view(groups, -1, *bank.shape[1:])
    norms = parts.flatten(1).norm(dim=1)
    parts *= (parts.shape[1] ** 0.5 / norms).view(-1, 1, 1, 1, 1)
    matrices = [optimizers.orthogonalise(part.flatten(1)).float() for part in towards.chunk(groups)]
    parts -= rate * torch.stack(matrices).view_as(parts)
