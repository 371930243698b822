# %% answer="stopping-prediction"
def stopping_prediction():
    return 5


# %% answer="stopping-prediction"
def stopping_prediction():
    return 40


# %% answer="claims"
def claims(accuracies, target, std, fewest):
    def convinced(runs):
        return any(runs[:n].mean() > target + 1.645 * std / n**0.5 for n in range(fewest, len(runs) + 1))

    return [convinced(runs) for runs in accuracies]


# %% answer="claims"
import torch


def claims(accuracies, target, std, fewest):
    runs = torch.tensor(accuracies) - target
    counts = torch.arange(1, runs.shape[1] + 1)
    heights = runs.cumsum(1) / (std * counts.sqrt())  # in standard deviations of the mean
    return heights[:, fewest - 1 :].amax(1) > 1.645
