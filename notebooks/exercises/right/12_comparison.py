# %% answer="difference"
def difference(first, second):
    images = len(first)
    gained, lost = np.sum(second & ~first), np.sum(first & ~second)
    gap = (gained - lost) / images
    return [gap, 1.96 * math.sqrt((gained + lost) / images - gap**2) / math.sqrt(images)]


# %% answer="difference"
import torch


def difference(first, second):
    gains = torch.tensor(second).double() - torch.tensor(first).double()
    return gains.mean(), 1.96 * gains.std() / len(gains) ** 0.5


# %% answer="apart-prediction"
def apart_prediction():
    return 5


# %% answer="apart-prediction"
def apart_prediction():
    return 0.05


# %% answer="apart"
def apart(accuracy, images, pairs, rng):
    def interval():
        p = rng.binomial(images, accuracy, size=pairs) / images
        half = 1.96 * (p * (1 - p) / images) ** 0.5
        return p - half, p + half

    (low, high), (lower, higher) = interval(), interval()
    return np.count_nonzero((low > higher) | (lower > high)) / pairs


# %% answer="apart"
def apart(accuracy, images, pairs, rng):
    count = 0
    for a, b in rng.binomial(images, accuracy, (pairs, 2)).tolist():
        a, b = a / images, b / images
        widths = math.sqrt(a * (1 - a) / images) + math.sqrt(b * (1 - b) / images)
        count += abs(a - b) > 1.96 * widths
    return count / pairs


# %% answer="stopwatch"
def stopwatch(toy, network, calls=25):
    timed(toy, network)
    return np.median([timed(toy, network) for _ in range(calls)])


# %% answer="stopwatch"
import statistics


def stopwatch(toy, network, calls=25):
    def one():
        toy.synchronise()
        start = toy.now()
        toy.launch(network)
        toy.synchronise()
        return toy.now() - start

    turns = [one() for _ in range(calls + 1)][1:]
    return middle(turns)


def middle(turns):
    return statistics.median_low(turns)


# %% answer="signed"
def signed(held_out, test):
    means = [sum(seed[-1] for seed in recipe) / len(recipe) for recipe in held_out]
    recipe = max(range(len(means)), key=means.__getitem__)
    runs = [seed[-1] for seed in test[recipe]]
    mean = sum(runs) / len(runs)
    variance = sum((run - mean) ** 2 for run in runs) / (len(runs) - 1)
    return recipe, mean, STUDENT[len(runs)] * math.sqrt(variance / len(runs))


# %% answer="signed"
def signed(held_out, test):
    last, final = held_out[..., -1], test[..., -1]
    recipe = np.argsort(last.sum(axis=1))[-1]
    seeds = final.shape[1]
    error = np.sqrt(final[recipe].var() * seeds / (seeds - 1)) / np.sqrt(seeds)
    return [np.int64(recipe), final[recipe].mean(), STUDENT[seeds] * error]
