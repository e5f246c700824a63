"""The model server for XGBoost, in the two modes of AWS's container.

Algorithm mode, without SAGEMAKER_PROGRAM: the files at the top of the model are
boosters. Script mode: the user's module loads the model, sagemaker-inference runs it.
"""
import csv
import json
import os
import pickle
import sys
import threading

import smfs_http as http
import smfs_mms as mms
import smfs_recordio as recordio
import smfs_toolkit as toolkit
import smfs_xgb_output as output

CSV, LIBSVM, RECORDIO = "text/csv", "text/libsvm", "application/x-recordio-protobuf"
CONTENT_TYPES = {"text/csv": CSV, "csv": CSV, "text/libsvm": LIBSVM, "text/x-libsvm": LIBSVM,
                 "libsvm": LIBSVM, RECORDIO: RECORDIO}
ACCEPTS = ("application/json", "application/jsonlines", RECORDIO, "text/csv")
TEXT = "text/html; charset=utf-8"  # Flask's type of a sentence
MAX_BYTES, LIMIT_BYTES = 6 << 20, 20 << 20


# ---- data ----

def csv_to_dmatrix(data, dtype=None):
    """Rows of numbers; the delimiter is told by the first row, an empty field is missing."""
    import numpy
    import xgboost
    text = data.decode() if isinstance(data, bytes) else data
    rows = text.split("\n")
    delimiter = csv.Sniffer().sniff(rows[0][:512]).delimiter
    if delimiter.isalnum():
        delimiter = ","
    cells = [["nan" if cell == "" else cell for cell in row.split(delimiter)] for row in rows]
    return xgboost.DMatrix(numpy.array(cells).astype(dtype or float))


def libsvm_to_dmatrix(data):
    """INDEX:VALUE pairs; what has no colon (a label) is passed over."""
    import numpy
    import xgboost
    from scipy.sparse import csr_matrix
    text = data.decode() if isinstance(data, bytes) else data
    rows, columns, values = [], [], []
    for number, line in enumerate(text.split("\n")):
        for item in line.split():
            if ":" in item:
                column, value = item.split(":")[:2]
                rows.append(number)
                columns.append(int(column))
                values.append(float(value))
    return xgboost.DMatrix(csr_matrix((numpy.array(values), (rows, columns))))


def recordio_protobuf_to_dmatrix(data):
    """Records whose feature `values` is a row, dense or sparse; labels are passed over."""
    import xgboost
    return xgboost.DMatrix(recordio.rows(bytes(data)))


FORMS = {CSV: csv_to_dmatrix, LIBSVM: libsvm_to_dmatrix, RECORDIO: recordio_protobuf_to_dmatrix}
NAMES = {CSV: "csv", LIBSVM: "libsvm", RECORDIO: "recordio-protobuf"}


def media_type(value):
    return value.split(";")[0].strip().lower()


def parsed(body, content_type):
    """The request's data, and which form it has."""
    form = CONTENT_TYPES.get(media_type(content_type or LIBSVM))
    if not form:
        raise ValueError("Content-type %s is not supported. Supported content-type is text/csv, text/libsvm, "
                         "application/x-recordio-protobuf" % content_type)
    try:
        return FORMS[form](body if form == RECORDIO else body.strip().decode("utf-8")), form
    except Exception as error:
        name = NAMES[form]
        raise ValueError("Loading %s data failed with Exception, please ensure data is in %s format:\n %s\n %s"
                         % (name, name, type(error), error))


# ---- algorithm mode ----

class Booster:
    """One file of the model: a pickled Booster, else what Booster.load_model takes."""

    def __init__(self, path):
        import xgboost
        try:
            with open(path, "rb") as file:
                self.booster, self.pickled = pickle.load(file), True
        except Exception as unpickling:
            try:
                self.booster, self.pickled = xgboost.Booster(), False
                self.booster.load_model(path)
            except Exception as loading:
                raise RuntimeError("Model at %s cannot be loaded: %s; %s" % (
                    path, unpickling, str(loading).split("Stack trace:")[0]))
        if not isinstance(self.booster, xgboost.Booster):
            raise RuntimeError("Model at %s cannot be loaded: the pickle holds %s, not an xgboost.Booster"
                               % (path, type(self.booster).__name__))
        self.booster.set_param({"nthread": 1})

    def check(self, data, form):
        """Of pickled models the container compares the number of features."""
        trained, given = self.booster.num_features(), data.num_col()
        if self.pickled and form == LIBSVM and given > trained + 1:
            raise ValueError("Feature size of libsvm inference data %d is larger than feature size of trained "
                             "model %d." % (given, trained))
        if self.pickled and form != LIBSVM and given not in (trained, trained + 1):
            raise ValueError("Feature size of %s inference data %d is not consistent with feature size of "
                             "trained model %d." % (NAMES[form], given, trained))

    def objective(self):
        learner = json.loads(self.booster.save_config())["learner"]
        return learner["objective"]["name"], learner["learner_model_param"].get("num_class", "")


class Ensemble:
    """All files at the top of the model; several are averaged, votes are counted."""

    def __init__(self, directory):
        names = sorted(name for name in os.listdir(directory)
                       if not name.startswith(".") and os.path.isfile(os.path.join(directory, name)))
        if not names:
            raise RuntimeError("there is no file at the top of the model")
        if os.environ.get("SAGEMAKER_INFERENCE_ENSEMBLE", "true") != "true":
            names = names[:1]
        self.boosters = [Booster(os.path.join(directory, name)) for name in names]
        self.lock = threading.Lock()

    def predict(self, data, form):
        import numpy
        self.boosters[0].check(data, form)
        with self.lock:
            answers = [b.booster.predict(data, validate_features=False) for b in self.boosters]
        if len(answers) == 1:
            return answers[0]
        if self.boosters[0].objective()[0] in ("multi:softmax", "binary:hinge"):
            from scipy import stats
            return stats.mode(answers, axis=0, keepdims=False).mode
        return numpy.mean(answers, axis=0)


def accept_of(environ):
    """The type of the answer, or None when it is none of the container's."""
    accept = media_type(environ.get("HTTP_ACCEPT", ""))
    if not accept or accept == "*/*":
        return os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", "text/csv")
    return accept if accept in ACCEPTS else None


def answer_of(ensemble, predictions, accept):
    batch = os.environ.get("SAGEMAKER_BATCH")
    keys = os.environ.get("SAGEMAKER_INFERENCE_OUTPUT")
    if keys is not None:
        keys = keys.replace(" ", "").lower().split(",")
        rows = output.selected(predictions, keys, *ensemble.boosters[0].objective())
        return output.encoded(rows, keys, accept, batch)
    values = predictions.tolist()
    if accept == "text/csv":
        return "\n".join(map(str, values)) + "\n" if batch else ",".join(map(str, values))
    return output.encoded([{"score": value} for value in values], ["score"], accept, batch)


def max_bytes():
    return min(int(os.environ.get("MAX_CONTENT_LENGTH", MAX_BYTES)), LIMIT_BYTES)


def execution_parameters():
    return toolkit.Response(json.dumps({
        "MaxConcurrentTransforms": os.cpu_count(), "BatchStrategy": "MULTI_RECORD",
        "MaxPayloadInMB": max_bytes() >> 20}))


def algorithm_mode(ensemble):
    def refuse(start_response, status, error):
        http.log_exception(str(error))
        return http.reply(start_response, status, str(error), TEXT)

    def invoke(environ, start_response):
        body = http.body_of(environ)
        if not body:
            return http.reply(start_response, 204)
        if len(body) > max_bytes():
            return http.reply(start_response, 413, "The data value transmitted exceeds the capacity limit.", TEXT)
        try:
            data, form = parsed(body, environ.get("CONTENT_TYPE"))
        except Exception as error:
            return refuse(start_response, 415, error)
        try:
            predictions = ensemble.predict(data, form)
        except Exception as error:
            return refuse(start_response, 400, "Unable to evaluate payload provided: %s" % error)
        accept = accept_of(environ)
        if accept is None:
            return refuse(start_response, 406, "Accept type %s is not supported. Please use supported accept "
                          "types: %s." % (environ["HTTP_ACCEPT"], list(ACCEPTS)))
        try:
            return http.reply(start_response, 200, answer_of(ensemble, predictions, accept),
                              toolkit.flask_type(accept))
        except Exception as error:
            return refuse(start_response, 500, error)

    return invoke


def serve_algorithm():
    import xgboost
    http.log_version("XGBoost", xgboost.__version__)
    try:
        ensemble = Ensemble(http.model_dir())
    except Exception as error:
        http.log_exception("cannot load the model")
        http.fail("cannot load the model: %s%s" % (error, http.version_hint("xgboost", xgboost.__version__)))
    http.log("INFO", "%d booster(s) loaded" % len(ensemble.boosters))
    http.run(toolkit.application(algorithm_mode(ensemble), execution_parameters))


# ---- script mode ----

def decode(data, content_type):
    """sagemaker_xgboost_container.encoder.decode"""
    form = CONTENT_TYPES.get(media_type(content_type)) if "/" in content_type else None
    if not form:
        raise toolkit.UnsupportedFormatError(media_type(content_type))
    return FORMS[form](data)


def handler_service():
    """The container's handler: sagemaker-inference with XGBoost's data in the middle."""
    from sagemaker_inference.default_handler_service import DefaultHandlerService
    from sagemaker_inference.default_inference_handler import DefaultInferenceHandler
    from sagemaker_inference.transformer import Transformer

    class Handler(DefaultInferenceHandler):
        def default_model_fn(self, model_dir):
            raise NotImplementedError(toolkit.NO_MODEL_FN)

        def default_input_fn(self, data, content_type):
            return decode(data, content_type)

        def default_predict_fn(self, data, model):
            return model.predict(data, validate_features=False)

        def default_output_fn(self, prediction, accept):
            encoded = toolkit.encode(prediction, accept)
            return encoded.encode("utf-8") if accept == toolkit.CSV else encoded

    return DefaultHandlerService(Transformer(Handler()))


def import_service():
    import xgboost
    toolkit.offer_names()
    encoder = toolkit.as_module("sagemaker_xgboost_container.encoder", decode=decode,
                                csv_to_dmatrix=csv_to_dmatrix, libsvm_to_dmatrix=libsvm_to_dmatrix,
                                recordio_protobuf_to_dmatrix=recordio_protobuf_to_dmatrix)
    toolkit.as_module("sagemaker_xgboost_container", encoder=encoder, __path__=[])
    toolkit.import_user_module()  # sagemaker-inference would do without one
    return handler_service(), xgboost.__version__


def main():
    sys.dont_write_bytecode = True
    # One thread a booster, as the container has it: its workers share the cores.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if toolkit.program():
        mms.serve(mms.load("XGBoost", import_service, code=toolkit.code_dir()))
    serve_algorithm()


if __name__ == "__main__":
    http.start(main)
