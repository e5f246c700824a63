/* saved_model_pb.c: what protoc-c makes of saved_model.proto, beyond the reach of our warnings. */
#pragma GCC diagnostic ignored "-Wpragmas"
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wmissing-declarations"
#pragma GCC diagnostic ignored "-Wpedantic"
#include "saved_model.pb-c.c" /* NOLINT(bugprone-suspicious-include) */
