"""Logistic regression over pairs and triples of tokens, by scikit-learn, as an ONNX graph that dnsvet takes.

skl2onnx would write operators of its own (`ai.onnx.ml`), and text or floats as input. But a linear model on counts of
n-grams is a table: look up each n-gram's weight and add them. So the graph is built by hand, from five plain operators:

    tokens -> Slice, Mul, Add: number of each n-gram -> Gather: its weight -> ReduceSum -> Add: intercept -> logit
"""

import pathlib
import sys

import numpy
import onnx
import scipy.sparse
from onnx import TensorProto, helper, numpy_helper
from sklearn.linear_model import LogisticRegression

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import manifest
from manifest import ALPHABET, LENGTH

GRAMS = (2, 3)
FIRST = {2: 0, 3: ALPHABET**2}
FEATURES = ALPHABET**2 + ALPHABET**3


def grams(rows, n):
    """The numbers of all n-grams of rows of tokens; 0 is padding only."""
    number = numpy.zeros((len(rows), LENGTH - n + 1), dtype=numpy.int64)
    for at in range(n):
        number = number * ALPHABET + rows[:, at : at + LENGTH - n + 1]
    return number


def counts(rows):
    """How often each n-gram stands in each row."""
    found = [(FIRST[n], grams(rows, n)) for n in GRAMS]
    column = numpy.concatenate([(first + number).ravel() for first, number in found])
    row = numpy.concatenate([numpy.repeat(numpy.arange(len(rows)), number.shape[1]) for _, number in found])
    seen = numpy.concatenate([(number > 0).ravel() for _, number in found])
    shape = (len(rows), FEATURES)
    return scipy.sparse.csr_matrix((numpy.ones(seen.sum()), (row[seen], column[seen])), shape=shape)


def graph(weights, intercept):
    """The same model in ONNX."""
    nodes, constants = [], {}

    def constant(name, value, kind):
        constants[name] = numpy_helper.from_array(numpy.asarray(value, dtype=kind), name)
        return name

    def node(operator, inputs, output, **attributes):
        nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    axis = constant("axis", [1], numpy.int64)
    alphabet = constant("alphabet", ALPHABET, numpy.int64)
    sums = []
    for n in GRAMS:
        number = None
        for at in range(n):
            start = constant(f"start_{n}_{at}", [at], numpy.int64)
            end = constant(f"end_{n}_{at}", [at + LENGTH - n + 1], numpy.int64)
            token = node("Slice", ["tokens", start, end, axis], f"token_{n}_{at}")
            if number is None:
                number = token
            else:
                shifted = node("Mul", [number, alphabet], f"shifted_{n}_{at}")
                number = node("Add", [shifted, token], f"number_{n}_{at}")
        table = constant(f"table_{n}", weights[FIRST[n] : FIRST[n] + ALPHABET**n], numpy.float32)
        looked_up = node("Gather", [table, number], f"weight_{n}", axis=0)
        sums.append(node("ReduceSum", [looked_up, axis], f"sum_{n}", keepdims=0))
    total = node("Add", sums, "total")
    node("Add", [total, constant("intercept", intercept, numpy.float32)], "logit")
    tokens = helper.make_tensor_value_info("tokens", TensorProto.INT64, ["n", LENGTH])
    logit = helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["n"])
    made = helper.make_graph(nodes, "n-grams", [tokens], [logit], list(constants.values()))
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def main():
    args = manifest.arguments("Train on names and write model.onnx and manifest.json.", "own-sklearn")
    train, calibration, test = manifest.split(*manifest.names(args.data))
    model = LogisticRegression(C=0.3, max_iter=1_000)
    model.fit(counts(manifest.matrix(train[0])), train[1])
    weights, intercept = model.coef_[0], float(model.intercept_[0])
    used = int(numpy.count_nonzero(weights)) + 1
    sources = [manifest.source(args.data, len(train[0]))]
    made_by = "examples/own-model/sklearn/train.py"
    manifest.write(args, graph(weights, intercept), used, calibration, test, sources, made_by)


main()
