# %% answer="difference" hint="take the first from the second"
def difference(first, second):
    gained = first.astype(float) - second
    return gained.mean(), 1.96 * gained.std() / len(gained) ** 0.5


# %% answer="difference" hint="a fraction is asked for, not points"
def difference(first, second):
    gained = 100 * (second.astype(float) - first)
    return gained.mean(), 1.96 * gained.std() / len(gained) ** 0.5


# %% answer="difference" hint="but the two accuracies differ by"
def difference(first, second):
    gained = (second != first).astype(float)
    return gained.mean(), 1.96 * gained.std() / len(gained) ** 0.5


# %% answer="difference" hint="the half widths of two intervals, added"
def difference(first, second):
    widths = [1.96 * (each.mean() * (1 - each.mean()) / len(each)) ** 0.5 for each in (first, second)]
    return second.mean() - first.mean(), sum(widths)


# %% answer="difference" hint="if the two had been scored on *different* images"
def difference(first, second):
    return second.mean() - first.mean(), 1.96 * ((first.var() + second.var()) / len(first)) ** 0.5


# %% answer="difference" hint="that of one accuracy alone"
def difference(first, second):
    return second.mean() - first.mean(), 1.96 * second.std() / len(first) ** 0.5


# %% answer="difference" hint="that is how single images scatter"
def difference(first, second):
    gained = second.astype(float) - first
    return gained.mean(), 1.96 * gained.std()


# %% answer="difference" hint="without the factor for 95%"
def difference(first, second):
    gained = second.astype(float) - first
    return gained.mean(), gained.std() / len(gained) ** 0.5


# %% answer="difference" gamed=true
def difference(first, second):
    return second.mean() - first.mean(), 0.00763


# %% answer="apart-prediction" hint="return one of 5, 0.5 and 0.05"
def apart_prediction():
    return 0.005


# %% answer="apart" hint="no pair lies apart"
def apart(accuracy, images, pairs, rng):
    scored = np.full(pairs, rng.binomial(images, accuracy)) / images
    reach = 1.96 * np.sqrt(scored * (1 - scored) / images)
    return (np.abs(scored - scored) > 2 * reach).mean()


# %% answer="apart" hint="return a fraction of the pairs"
def apart(accuracy, images, pairs, rng):
    a, b = rng.binomial(images, accuracy, (2, pairs)) / images
    return (np.abs(a - b) > 1.96 * (np.sqrt(a * (1 - a) / images) + np.sqrt(b * (1 - b) / images))).sum()


# %% answer="apart" hint="outside the *other's* interval"
def apart(accuracy, images, pairs, rng):
    a, b = rng.binomial(images, accuracy, (2, pairs)) / images
    return (np.abs(a - b) > 1.96 * np.sqrt(a * (1 - a) / images)).mean()


# %% answer="apart" hint="√2 half widths"
def apart(accuracy, images, pairs, rng):
    a, b = rng.binomial(images, accuracy, (2, pairs)) / images
    return (np.abs(a - b) > 1.96 * np.sqrt((a * (1 - a) + b * (1 - b)) / images)).mean()


# %% answer="apart" hint="either of the two may be the better one"
def apart(accuracy, images, pairs, rng):
    a, b = rng.binomial(images, accuracy, (2, pairs)) / images
    return (a - b > 1.96 * (np.sqrt(a * (1 - a) / images) + np.sqrt(b * (1 - b) / images))).mean()


# %% answer="apart" hint="we find 0.56%"
def apart(accuracy, images, pairs, rng):
    a, b = rng.binomial(images, accuracy, (2, pairs)) / images
    return (np.abs(a - b) > 4 * np.sqrt(a * (1 - a) / images)).mean() + 0.01


# %% answer="apart" gamed=true
def apart(accuracy, images, pairs, rng):
    a, b = rng.binomial(images, accuracy, (2, pairs)) / images
    return (np.abs(a - b) > 2 * 1.96 * np.sqrt(accuracy * (1 - accuracy) / images)).mean()


# %% answer="stopwatches" hint="stopwatch b is not"
def stopwatches():
    return {"a": "a single disturbance decides", "b": "the first call counts", "c": "none",
            "d": "doesn't wait for the end", "e": "the queue isn't empty at the start"}


# %% answer="stopwatches" hint="it is off by the same *factor*"
def stopwatches():
    return {"a": "a single disturbance decides", "b": "doesn't wait for the end", "c": "none",
            "d": "the first call counts", "e": "a single disturbance decides"}


# %% answer="stopwatches" hint="disagree, and all are too long or right"
def stopwatches():
    return {"a": "none", "b": "doesn't wait for the end", "c": "none",
            "d": "the first call counts", "e": "the queue isn't empty at the start"}


# %% answer="stopwatch" hint="stopwatch returns nothing"
def stopwatch(toy, network, calls=25):
    toy.launch(network)
    toy.synchronise()


# %% answer="stopwatch" hint="which is what *asking* for a step takes"
def stopwatch(toy, network, calls=25):
    return np.median([timed(toy, network, wait=False) for _ in range(calls)])


# %% answer="stopwatch" hint="the time of all 25 calls together"
def stopwatch(toy, network, calls=25):
    timed(toy, network)
    return sum(timed(toy, network) for _ in range(calls))


# %% answer="stopwatch" hint="for the first call was timed"
def stopwatch(toy, network, calls=25):
    return timed(toy, network)


# %% answer="stopwatch" hint="a share of the first call's 800 ms"
def stopwatch(toy, network, calls=25):
    return np.mean([timed(toy, network) for _ in range(calls)])


# %% answer="stopwatch" hint="more than one step lies between start and end"
def stopwatch(toy, network, calls=25):
    turns = []
    for _ in range(calls):
        toy.launch(network)
        turns.append(timed(toy, network))
    return np.median(turns)


# %% answer="stopwatch" hint="empty the queue before you start"
def stopwatch(toy, network, calls=25):
    toy.launch(network)
    start = toy.now()
    for _ in range(calls):
        toy.launch(network)
    toy.synchronise()
    return (toy.now() - start) / (calls + 1)


# %% answer="stopwatch" hint="somebody else's job of 400 ms"
def stopwatch(toy, network, calls=25):
    timed(toy, network)
    return np.mean([timed(toy, network) for _ in range(calls)])


# %% answer="stopwatch" hint="how many calls have you timed"
def stopwatch(toy, network, calls=25):
    timed(toy, network)
    return np.median([timed(toy, network) for _ in range(25)])


# %% answer="stopwatch" hint="no attribute 'costs'"
def stopwatch(toy, network, calls=25):
    for _ in range(calls + 1):
        timed(toy, network)
    return toy.costs[network]


# %% answer="stopwatch" gamed=true
def stopwatch(toy, network, calls=25):
    for _ in range(calls + 1):
        timed(toy, network)
    return {"Small": 2.0, "VGG": 25.0, "GoogLeNet": 90.0}.get(network, 7.0)


# %% answer="reports" hint="by which luck was its recipe the best of twelve"
def reports():
    return {"a": "epoch chosen on the test set", "b": "none", "c": "none", "d": "recipe chosen on the test set",
            "e": "none"}


# %% answer="reports" hint="report b is not 'epoch chosen on the test set'"
def reports():
    return {"a": "epoch chosen on the test set", "b": "epoch chosen on the test set",
            "c": "states the number it chose by", "d": "recipe chosen on the test set", "e": "none"}


# %% answer="reports" hint="how many of the ten test accuracies"
def reports():
    return {"a": "recipe chosen on the test set", "b": "none", "c": "states the number it chose by",
            "d": "recipe chosen on the test set", "e": "none"}


# %% answer="signed" hint="you chose recipe 0, the best on the test set"
def signed(held_out, test):
    recipe = test[:, :, -1].mean(1).argmax()
    runs = test[recipe, :, -1]
    return recipe, runs.mean(), STUDENT[len(runs)] * runs.std(ddof=1) / len(runs) ** 0.5


# %% answer="signed" hint="to which its best single run belongs"
def signed(held_out, test):
    recipe = held_out[:, :, -1].max(1).argmax()
    runs = test[recipe, :, -1]
    return recipe, runs.mean(), STUDENT[len(runs)] * runs.std(ddof=1) / len(runs) ** 0.5


# %% answer="signed" hint="was best at an earlier epoch"
def signed(held_out, test):
    recipe = held_out.mean(1).max(1).argmax()
    runs = test[recipe, :, -1]
    return recipe, runs.mean(), STUDENT[len(runs)] * runs.std(ddof=1) / len(runs) ** 0.5


# %% answer="signed" hint="held-out accuracies, or those of an epoch before the last"
def signed(held_out, test):
    recipe = held_out[:, :, -1].mean(1).argmax()
    runs = test[recipe].max(1)
    return recipe, runs.mean(), STUDENT[len(runs)] * runs.std(ddof=1) / len(runs) ** 0.5


# %% answer="signed" hint="that is the best of four seeds"
def signed(held_out, test):
    recipe = held_out[:, :, -1].mean(1).argmax()
    runs = test[recipe, :, -1]
    return recipe, runs.max(), STUDENT[len(runs)] * runs.std(ddof=1) / len(runs) ** 0.5


# %% answer="signed" hint="the mean of 0.910, 0.914, 0.918 and 0.922"
def signed(held_out, test):
    recipe = held_out[:, :, -1].mean(1).argmax()
    runs = test[recipe, :, -1]
    return recipe, runs[0], STUDENT[len(runs)] * runs.std(ddof=1) / len(runs) ** 0.5


# %% answer="signed" hint="that of a single run"
def signed(held_out, test):
    recipe = held_out[:, :, -1].mean(1).argmax()
    runs = test[recipe, :, -1]
    return recipe, runs.mean(), STUDENT[len(runs)] * runs.std(ddof=1)


# %% answer="signed" hint="for four runs it is Student's"
def signed(held_out, test):
    recipe = held_out[:, :, -1].mean(1).argmax()
    runs = test[recipe, :, -1]
    return recipe, runs.mean(), 1.96 * runs.std(ddof=1) / len(runs) ** 0.5


# %% answer="signed" hint="it is estimated, so divide by n - 1"
def signed(held_out, test):
    recipe = held_out[:, :, -1].mean(1).argmax()
    runs = test[recipe, :, -1]
    return recipe, runs.mean(), STUDENT[len(runs)] * runs.std() / len(runs) ** 0.5


# %% answer="signed" hint="did you take the luck of the images"
def signed(held_out, test):
    recipe = held_out[:, :, -1].mean(1).argmax()
    mean = test[recipe, :, -1].mean()
    return recipe, mean, 1.96 * (mean * (1 - mean) / 1000) ** 0.5


# %% answer="signed" gamed=true
def signed(held_out, test):
    recipe = held_out[:, :, -1].mean(1).argmax()
    runs = test[recipe, :, -1]
    return recipe, runs.mean(), 3.182 * runs.std(ddof=1) / 2


# %% answer="apart" hint="should be drawn and counted"
def apart(accuracy, images, pairs, rng):
    return math.erfc(1.96 * 2**0.5 / 2**0.5)


# %% answer="apart" hint="draw with it, and with nothing else"
def apart(accuracy, images, pairs, rng):
    a, b = np.random.binomial(images, accuracy, (2, pairs)) / images
    return (np.abs(a - b) > 1.96 * (np.sqrt(a * (1 - a) / images) + np.sqrt(b * (1 - b) / images))).mean()


# %% answer="stopwatch" hint="the only call that counts is the first one"
def stopwatch(toy, network, calls=25):
    turns = []
    for _ in range(calls):
        toy.synchronise()
        start = toy.now()
        toy.launch(network)
        toy.synchronise()
        turns.append(toy.now() - start)
    return np.median(turns)
