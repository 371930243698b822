# %% answer="pass-on"
def pass_on(bank):
    copies, middle = min(bank.shape[:2]), bank.shape[-1] // 2
    bank[:copies].zero_()
    bank[:copies, :, middle, middle] = torch.eye(*bank.shape[:2])[:copies]


# %% answer="pass-on"
def pass_on(bank):
    out, channels, side, _ = bank.shape
    one = torch.nn.functional.one_hot(torch.arange(min(out, channels)), channels).float()
    spot = torch.zeros(side, side)
    spot[side // 2, side // 2] = 1
    bank[: len(one)] = torch.einsum("oc,hw->ochw", one, spot)
    return bank


# %% answer="sides"
import hashlib


def sides(numbers, epoch, seed):
    def coin(number):
        return hashlib.blake2b(f"{seed} {number}".encode(), digest_size=1).digest()[0] % 2

    return [(coin(number) + epoch) % 2 == 1 for number in numbers.tolist()]


# %% answer="sides"
def sides(numbers, epoch, seed):
    z = torch.tensor(numbers.copy()) * 6364136223846793005 + (seed * 1442695040888963407 + 99) % 2**62
    for shift, factor in ((29, -4658895280553007687), (32, -7723592293110705685), (30, -4658895280553007687)):
        z = (z ^ (z >> shift)) * factor
    return torch.logical_xor((z >> 41) % 2 == 1, torch.tensor(epoch % 2 == 1))
