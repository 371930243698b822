# %% answer="stopping-prediction" hint="return one of 5, 10, 20 and 40"
def stopping_prediction():
    return 50


# %% answer="claims" hint="have been changed"
def claims(accuracies, target, std, fewest):
    accuracies -= target
    counts = np.arange(1, accuracies.shape[1] + 1)
    return (accuracies.cumsum(1) / counts > 1.645 * std / np.sqrt(counts))[:, fewest - 1:].any(1)


# %% answer="claims" hint="one truth for each of 20,000 authors"
def claims(accuracies, target, std, fewest):
    counts = np.arange(1, accuracies.shape[1] + 1)
    return (accuracies.cumsum(1) / counts - target > 1.645 * std / np.sqrt(counts))[:, fewest - 1:]


# %% answer="claims" hint="that is a claim"
def claims(accuracies, target, std, fewest):
    counts = np.arange(1, accuracies.shape[1] + 1)
    return (accuracies.cumsum(1) / counts - target > 1.96 * std / np.sqrt(counts))[:, fewest - 1:].any(1)


# %% answer="claims" hint="less than the margin of 0.74"
def claims(accuracies, target, std, fewest):
    counts = np.arange(1, accuracies.shape[1] + 1)
    return (accuracies.cumsum(1) / counts - target > 1.645 * std / counts)[:, fewest - 1:].any(1)


# %% answer="claims" hint="Does yours shrink with the runs"
def claims(accuracies, target, std, fewest):
    counts = np.arange(1, accuracies.shape[1] + 1)
    return (accuracies.cumsum(1) / counts - target > 1.645 * std / fewest**0.5)[:, fewest - 1:].any(1)


# %% answer="claims" hint="looks from the fifth on"
def claims(accuracies, target, std, fewest):
    counts = np.arange(1, accuracies.shape[1] + 1)
    return (accuracies.cumsum(1) / counts - target > 1.645 * std / np.sqrt(counts)).any(1)


# %% answer="claims" hint="stopped there"
def claims(accuracies, target, std, fewest):
    return accuracies.mean(1) - target > 1.645 * std / accuracies.shape[1] ** 0.5


# %% answer="claims" hint="not the last alone"
def claims(accuracies, target, std, fewest):
    counts = np.arange(1, accuracies.shape[1] + 1)
    return (accuracies - target > 1.645 * std / np.sqrt(counts))[:, fewest - 1:].any(1)


# %% answer="claims" hint="at the last look"
def claims(accuracies, target, std, fewest):
    counts = np.arange(1, accuracies.shape[1] + 1)
    return (accuracies.cumsum(1) / counts - target > 1.645 * std / np.sqrt(counts))[:, fewest - 1 : 8].any(1)


# %% answer="claims" hint="is `fewest` used"
def claims(accuracies, target, std, fewest):
    counts = np.arange(1, accuracies.shape[1] + 1)
    return (accuracies.cumsum(1) / counts - target > 1.645 * std / np.sqrt(counts))[:, 4:].any(1)


# %% answer="claims" gamed=true
def claims(accuracies, target, std, fewest):
    counts = np.arange(1, accuracies.shape[1] + 1)
    return (accuracies.cumsum(1) / counts - 94 > 1.645 * std / np.sqrt(counts))[:, fewest - 1:].any(1)
