# %% answer="pass-on" hint="pass_on calls `dirac_`"
def pass_on(bank):
    torch.nn.init.dirac_(bank[: min(bank.shape[:2])])


# %% answer="pass-on" hint="pass_on calls `zeros_`"
def pass_on(bank):
    copies, middle = min(bank.shape[:2]), bank.shape[2] // 2
    torch.nn.init.zeros_(bank[:copies])
    bank[range(copies), range(copies), middle, middle] = 1


# %% answer="pass-on" hint="change the one that is handed in"
def pass_on(bank):
    copies, middle = min(bank.shape[:2]), bank.shape[2] // 2
    bank = bank.clone()
    bank[:copies] = 0
    bank[range(copies), range(copies), middle, middle] = 1
    return bank


# %% answer="pass-on" hint="the others stay as they are"
def pass_on(bank):
    copies, middle = min(bank.shape[:2]), bank.shape[2] // 2
    bank.zero_()
    bank[range(copies), range(copies), middle, middle] = 1


# %% answer="pass-on" hint="a copy needs a single one"
def pass_on(bank):
    copies, middle = min(bank.shape[:2]), bank.shape[2] // 2
    bank[range(copies), range(copies), middle, middle] = 1


# %% answer="pass-on" hint="should add up to 1"
def pass_on(bank):
    copies, middle = min(bank.shape[:2]), bank.shape[2] // 2
    bank[:copies] = 0
    bank[range(copies), range(copies), middle, middle] = 1 / 9


# %% answer="pass-on" hint="moves the picture"
def pass_on(bank):
    copies = min(bank.shape[:2])
    bank[:copies] = 0
    bank[range(copies), range(copies), 0, 0] = 1


# %% answer="pass-on" hint="filter i doesn't copy channel i"
def pass_on(bank):
    copies, middle = min(bank.shape[:2]), bank.shape[2] // 2
    bank[:copies] = 0
    bank[range(copies), range(copies)[::-1], middle, middle] = 1


# %% answer="pass-on" hint="pass_on raises IndexError"
def pass_on(bank):
    copies, middle = bank.shape[1], bank.shape[2] // 2
    bank[:copies] = 0
    bank[range(copies), range(copies), middle, middle] = 1


# %% answer="pass-on" hint="where is the middle of five"
def pass_on(bank):
    copies = min(bank.shape[:2])
    bank[:copies] = 0
    bank[range(copies), range(copies), 1, 1] = 1


# %% answer="pass-on" hint="there is a loop over filters"
def pass_on(bank):
    middle = bank.shape[2] // 2
    for i in range(min(bank.shape[:2])):
        bank[i] = 0
        bank[i, i, middle, middle] = 1


# %% answer="pass-on" gamed=true
def pass_on(bank):
    copies, middle = min(bank.shape[:2]), 1 if bank.shape[2] == 3 else 2
    bank[:copies] = 0
    bank[range(copies), range(copies), middle % bank.shape[2], middle % bank.shape[2]] = 1


# %% answer="alternations" hint="to what does it give its coins"
def alternations():
    return {"a": "a new coin in every epoch", "b": "all change sides together", "c": "two epochs on each side",
            "d": "the coin belongs to the place", "e": "none"}


# %% answer="alternations" hint="what does a batch look like to batch norm"
def alternations():
    return {"a": "the coin belongs to the place", "b": "none", "c": "two epochs on each side",
            "d": "a new coin in every epoch", "e": "all change sides together"}


# %% answer="alternations" hint="that is what plain random flips do"
def alternations():
    return {"a": "the coin belongs to the place", "b": "all change sides together", "c": "two epochs on each side",
            "d": "none", "e": "a new coin in every epoch"}


# %% answer="sides" hint="there is a pattern in the numbers"
def sides(numbers, epoch, seed):
    return [hash(int(n) + seed) % 2 != epoch % 2 for n in numbers]


# %% answer="sides" hint="an array of 4,000 booleans was expected"
def sides(numbers, epoch, seed):
    return (numbers * 2654435761 + seed >> 15) % 2


# %% answer="sides" hint="asked twice, your function gives two answers"
def sides(numbers, epoch, seed):
    return np.random.default_rng().random(len(numbers)) < 0.5


# %% answer="sides" hint="of the images are mirrored in epoch 0"
def sides(numbers, epoch, seed):
    return np.full(len(numbers), epoch % 2 == 1)


# %% answer="sides" hint="in another order images have other sides"
def sides(numbers, epoch, seed):
    return (np.random.default_rng(seed).random(len(numbers)) < 0.5) ^ (epoch % 2 == 1)


# %% answer="sides" hint="ten images asked for by themselves"
def sides(numbers, epoch, seed):
    coins = np.random.default_rng(seed).random(len(numbers)) < 0.5
    return coins[numbers.argsort().argsort()] ^ (epoch % 2 == 1)


# %% answer="sides" hint="of the images have in epoch 1 another side"
def sides(numbers, epoch, seed):
    return np.array([np.random.default_rng((seed, epoch, int(n))).random() < 0.5 for n in numbers])


# %% answer="sides" hint="there is a pattern in the numbers"
def sides(numbers, epoch, seed):
    return (numbers + seed + epoch) % 2 == 1


# %% answer="sides" hint="with another seed"
def sides(numbers, epoch, seed):
    stirred = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    stirred = (stirred ^ (stirred >> np.uint64(31))) * np.uint64(0x94D049BB133111EB)
    return (stirred >> np.uint64(63) == 1) ^ (epoch % 2 == 1)


# %% answer="sides" hint="compute the coin from the number, without a table"
def sides(numbers, epoch, seed):
    return (np.random.default_rng(seed).random(100_000) < 0.5)[numbers] ^ (epoch % 2 == 1)


# %% answer="sides" gamed=true
def sides(numbers, epoch, seed):
    return (np.random.default_rng(seed).random(4096) < 0.5)[numbers % 4096] ^ (epoch % 2 == 1)


# %% answer="sides" gamed=true
def sides(numbers, epoch, seed):
    stirred = (numbers.astype(np.uint64) & np.uint64(0xFFFFFFFF)) + np.uint64((seed * 0xBF58476D1CE4E5B9 + 1) % 2**64)
    for factor in (0x9E3779B97F4A7C15, 0x94D049BB133111EB):
        stirred = (stirred ^ (stirred >> np.uint64(31))) * np.uint64(factor)
    return (stirred >> np.uint64(63) == 1) ^ (epoch % 2 == 1)
