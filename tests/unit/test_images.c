/* The image table against the SDK's rules: sample rows, aliases, processors, refusals. */
#include "scratch.h"

#include "sagemaker/images.h"

static const struct {
	const char *framework, *version, *py, *region, *instance, *uri;
} known[] = {
	{"tensorflow",  "2.19.0",            "",     "eu-west-1",      "ml.m5.large",
	 "763104351884.dkr.ecr.eu-west-1.amazonaws.com/tensorflow-inference:2.19.0-cpu"                            },
	{"tensorflow",  "2.19",              "",     "us-east-1",      "ml.g5.xlarge",
	 "763104351884.dkr.ecr.us-east-1.amazonaws.com/tensorflow-inference:2.19-gpu"                              },
	{"tensorflow",  "2.20.0",            "",     "eu-west-1",      "ml.m5.large",
	 "763104351884.dkr.ecr.eu-west-1.amazonaws.com/tensorflow-inference:2.20.0-cpu-py312"                      },
	{"tensorflow",  "2.16.1",            "",     "eu-west-1",      "ml.c7gd.xlarge",
	 "763104351884.dkr.ecr.eu-west-1.amazonaws.com/"
	 "tensorflow-inference-graviton:2.16.1-cpu-py310-ubuntu20.04-sagemaker"                                    },
	{"tensorflow",  "2.9",               "",     "eu-west-1",      "ml.m8g.large",
	 "763104351884.dkr.ecr.eu-west-1.amazonaws.com/"
	 "tensorflow-inference-graviton:2.9-cpu-py38-ubuntu20.04-sagemaker"                                        },
	{"tensorflow",  "1.10.0",            "",     "us-west-2",      "ml.m4.xlarge",
	 "520713654638.dkr.ecr.us-west-2.amazonaws.com/sagemaker-tensorflow:1.10.0-cpu-py2"                        },
	{"tensorflow",  "1.12.0",            "py3",  "us-west-2",      "ml.p3.2xlarge",
	 "520713654638.dkr.ecr.us-west-2.amazonaws.com/sagemaker-tensorflow-serving:1.12.0-gpu"                    },
	{"tensorflow",  "2.13.0",            "",     "us-isof-east-1", "ml.m5.large",
	 "303241398832.dkr.ecr.us-isof-east-1.csp.hci.ic.gov/tensorflow-inference:2.13.0-cpu"                      },
	{"tensorflow",  "2.12.1",            "",     "cn-north-1",     "ml.m5.large",
	 "727897471807.dkr.ecr.cn-north-1.amazonaws.com.cn/tensorflow-inference:2.12.1-cpu"                        },
	{"mxnet",       "1.9.0",             "",     "eu-west-1",      "ml.m5.large",
	 "763104351884.dkr.ecr.eu-west-1.amazonaws.com/mxnet-inference:1.9.0-cpu-py38"                             },
	{"mxnet",       "1.8",               "py37", "ap-northeast-1", "ml.p3.2xlarge",
	 "763104351884.dkr.ecr.ap-northeast-1.amazonaws.com/mxnet-inference:1.8-gpu-py37"                          },
	{"mxnet",       "1.4.1",             "py2",  "eu-west-1",      "ml.m5.large",
	 "520713654638.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-mxnet-serving:1.4.1-cpu-py2"                      },
	{"mxnet",       "1.4.1",             "",     "eu-west-1",      "ml.m5.large",
	 "763104351884.dkr.ecr.eu-west-1.amazonaws.com/mxnet-inference:1.4.1-cpu-py3"                              },
	{"mxnet",       "1.3",               "",     "eu-south-1",     "ml.m5.large",
	 "048378556238.dkr.ecr.eu-south-1.amazonaws.com/sagemaker-mxnet:1.3-cpu-py3"                               },
	{"mxnet",       "1.8",               "py37", "eu-west-1",      "ml.p4d.24xlarge",
	 "763104351884.dkr.ecr.eu-west-1.amazonaws.com/mxnet-inference:1.8-gpu-py37-cu110-ubuntu16.04-v1"          },
	{"pytorch",     "2.6",               "",     "eu-west-1",      "ml.r8g.large",
	 "763104351884.dkr.ecr.eu-west-1.amazonaws.com/pytorch-inference-arm64:2.6-cpu-py312-ubuntu22.04-sagemaker"},
	{"pytorch",     "1.7",               "py3",  "eu-west-1",      "ml.g4dn.xlarge",
	 "763104351884.dkr.ecr.eu-west-1.amazonaws.com/pytorch-inference:1.7-gpu-py3"                              },
	{"pytorch",     "1.7",               "",     "eu-west-1",      "ml.p2.xlarge",
	 "763104351884.dkr.ecr.eu-west-1.amazonaws.com/pytorch-inference:1.7-gpu-py36"                             },
	{"sklearn",     "1.4-2-py312",       "",     "eu-west-1",      "ml.m5.large",
	 "141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-scikit-learn:1.4-2-py312-cpu-py3"                 },
	{"sklearn",     "1.0-1",             "",     "eu-west-1",      "ml.c8g.large",
	 "141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-scikit-learn:1.0-1-arm64-cpu-py3"                 },
	{"xgboost",     "1.7-1",             "py3",  "eu-west-1",      "ml.m5.large",
	 "141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:1.7-1"                                    },
	{"xgboost",     "1.5-1",             "",     "cn-north-1",     "ml.r7gd.large",
	 "450853457545.dkr.ecr.cn-north-1.amazonaws.com.cn/sagemaker-xgboost:1.5-1-arm64"                          },
	{"xgboost",     "0.90-2",            "",     "eu-west-1",      "ml.m5.large",
	 "141502667606.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:0.90-2-cpu-py3"                           },
	{"xgboost",     "latest",            "",     "eu-west-1",      "ml.m5.large",
	 "685385470294.dkr.ecr.eu-west-1.amazonaws.com/xgboost:latest"                                             },
	{"huggingface", "4.26",              "",     "eu-west-1",      "ml.g5.xlarge",
	 "763104351884.dkr.ecr.eu-west-1.amazonaws.com/"
	 "huggingface-pytorch-inference:1.13.1-transformers4.26.0-gpu-py39-cu117-ubuntu20.04"                      },
	{"huggingface", "4.26.0-tensorflow", "",     "eu-west-1",      "ml.m5.large",
	 "763104351884.dkr.ecr.eu-west-1.amazonaws.com/"
	 "huggingface-tensorflow-inference:2.11.0-transformers4.26.0-cpu-py39-ubuntu20.04"                         },
	{"huggingface", "4.10-pytorch1.8",   "py36", "eu-west-1",      "ml.m5.large",
	 "763104351884.dkr.ecr.eu-west-1.amazonaws.com/"
	 "huggingface-pytorch-inference:1.8.1-transformers4.10.2-cpu-py36-ubuntu18.04"                             },
};

static void uris(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		struct image im, back;
		struct err e = {0};

		assert_int_equal(images_uri(known[i].framework, known[i].version, known[i].py,
					    known[i].region, known[i].instance, &im, &e),
				 0);
		assert_string_equal(im.uri, known[i].uri);
		assert_true(images_parse(im.uri, &back));
		assert_string_equal(back.framework, im.framework);
		assert_string_equal(back.version, im.version);
		assert_string_equal(back.processor, im.processor);
		assert_string_equal(back.py, im.py);
	}
}

static const struct {
	const char *framework, *version, *py, *region, *instance, *says;
} refused[] = {
	{"tensorflow",  "2.17.0",          "",    "eu-west-1",    "ml.m5.large",    "there is 2.20.0 2.19.0"    },
	{"tensorflow",  "2.20.0",          "",    "eu-west-1",    "ml.c7g.large",   "there is 2.16.1 2.14.1"    },
	{"tensorflow",  "2.20.0",          "py3", "eu-west-1",    "ml.m5.large",    "there is py312"            },
	{"tensorflow",  "2.19.0",          "",    "xx-none-1",    "ml.m5.large",    "in region 'xx-none-1'"     },
	{"tensorflow",  "2.19.0",          "",    "eu-west-1",    "ml.inf2.xlarge", "neuron"                    },
	{"tensorflow",  "2.16.1",          "",    "eu-west-1",    "ml.g5g.xlarge",  "arm64 with gpu"            },
	{"mxnet",       "1.9.0",           "",    "eu-west-1",    "ml.m6g.large",   "take one with a cpu"       },
	{"mxnet",       "1.9.0",           "",    "mx-central-1", "ml.m5.large",    "no mxnet image in region"  },
	{"pytorch",     "2.0",             "",    "eu-west-1",    "ml.p2.xlarge",   "take a newer family"       },
	{"pytorch",     "1.13.1",          "",    "eu-west-1",    "ml.m8g.large",   "there is 2.6.0 2.4.0"      },
	{"sklearn",     "1.2-1",           "",    "eu-west-1",    "ml.m7g.large",   "there is 1.0-1"            },
	{"sklearn",     "1.2-1",           "",    "eu-west-1",    "ml.g5.xlarge",   "take one with a cpu"       },
	{"xgboost",     "1.0-1",           "",    "eu-west-1",    "ml.g5.xlarge",   "there is 3.2-0 3.0-5 1.7-1"},
	{"xgboost",     "1.7-1",           "",    "eu-west-1",    "ml.c6g.large",   "there is 1.5-1 1.3-1"      },
	{"huggingface", "4.26-pytorch2.0", "",    "eu-west-1",    "ml.m5.large",
	 "there is 4.26.0-pytorch1.13.1 4.26.0-tensorflow2.11.0"                                                },
	{"huggingface", "4.27",            "",    "eu-west-1",    "ml.m5.large",    "there is 5.5.3 4.51.3"     },
	{"huggingface", "4.26",            "",    "eu-west-1",    "ml.m6g.large",   "take one with a cpu"       },
	{"caffe",       "1",               "",    "eu-west-1",    "ml.m5.large",    "framework 'caffe'"         },
};

static void refusals(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		struct image im;
		struct err e = {0};

		assert_int_equal(images_uri(refused[i].framework, refused[i].version, refused[i].py,
					    refused[i].region, refused[i].instance, &im, &e),
				 -1);
		assert_int_equal(e.no, EINVAL);
		if (!strstr(e.text, refused[i].says))
			fail_msg("'%s' does not say '%s'", e.text, refused[i].says);
		assert_string_equal(im.uri, "");
	}
}

static const struct {
	const char *framework, *at_least, *instance, *version; /* NULL: refused */
} defaults[] = {
	{"tensorflow",  "",       "ml.m5.large",   "2.20.0"              },
	{"tensorflow",  NULL,     "ml.m5.large",   "2.20.0"              },
	{"tensorflow",  "2.15.1", "ml.m5.large",   "2.16.1"              },
	{"tensorflow",  "2.9",    "ml.m5.large",   "2.9.2"               },
	{"tensorflow",  "2.9.3",  "ml.m5.large",   "2.9.3"               },
	{"tensorflow",  "",       "ml.m7g.large",  "2.16.1"              },
	{"tensorflow",  "2.10.0", "ml.r6gd.large", "2.12.1"              },
	{"tensorflow",  "3.0",    "ml.m5.large",   NULL                  },
	{"mxnet",       "",       "ml.p3.2xlarge", "1.9.0"               },
	{"mxnet",       "1.9.1",  "ml.m5.large",   NULL                  },
	{"mxnet",       "0.11.0", "ml.m5.large",   "0.12.1"              },
	{"pytorch",     "",       "ml.m5.large",   "2.6.0"               },
	{"pytorch",     "",       "ml.p2.xlarge",  "1.12.1"              },
	{"pytorch",     "2.3.1",  "ml.m5.large",   "2.4.0"               },
	{"sklearn",     "",       "ml.m5.large",   "1.9-0"               },
	{"sklearn",     "1.1.3",  "ml.m5.large",   "1.2-1"               },
	{"xgboost",     "",       "ml.m6g.large",  "1.5-1"               },
	{"xgboost",     "0.90-2", "ml.m5.large",   "0.90-2"              },
	{"xgboost",     "0.95",   "ml.m5.large",   "1.0-1"               },
	{"huggingface", "",       "ml.m5.large",   "5.5.3-pytorch2.6.0"  },
	{"huggingface", "4.20",   "ml.m5.large",   "4.26.0-pytorch1.13.1"},
};

static void default_versions(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(defaults); i++) {
		char v[IMAGE_VERSION_MAX] = "";
		struct err e = {0};
		int rc = images_default_version(defaults[i].framework, defaults[i].at_least,
						"eu-west-1", defaults[i].instance, v, &e);

		assert_int_equal(rc, defaults[i].version ? 0 : -1);
		if (defaults[i].version)
			assert_string_equal(v, defaults[i].version);
		else
			assert_int_equal(e.no, EINVAL);
	}
}

static void parsing(void **state)
{
	struct image im;

	(void)state;
	assert_true(
		images_parse("763104351884.dkr.ecr.eu-west-1.amazonaws.com/"
			     "tensorflow-inference:2.19.0-gpu-py312-cu122-ubuntu22.04-sagemaker",
			     &im));
	assert_string_equal(im.version, "2.19.0");
	assert_string_equal(im.processor, "gpu");
	assert_string_equal(im.py, "py312");
	assert_true(images_parse("x/sagemaker-mxnet-serving:1.4-cpu-py2", &im));
	assert_string_equal(im.version, "1.4.1");
	assert_true(images_parse("tensorflow-inference-graviton:2.16-cpu", &im));
	assert_string_equal(im.processor, "arm64");
	assert_true(images_parse("x/sagemaker-xgboost:1.9-1", &im)); /* newer than the table */
	assert_string_equal(im.version, "1.9-1");
	assert_true(images_parse("x/sagemaker-scikit-learn:1.0-1-arm64-cpu-py3", &im));
	assert_string_equal(im.version, "1.0-1");
	assert_string_equal(im.processor, "arm64");
	assert_true(images_parse(
		"x/huggingface-tensorflow-inference:2.11-transformers4.26-cpu-py39", &im));
	assert_string_equal(im.version, "4.26.0-tensorflow2.11.0");
	assert_true(images_parse(
		"x/huggingface-pytorch-inference:2.9.1-transformers6.0.0-gpu-py313", &im));
	assert_string_equal(im.version, "6.0.0-pytorch2.9.1");
	assert_false(images_parse("x/huggingface-pytorch-inference:2.9.1-gpu", &im));
	assert_false(images_parse("x/huggingface-pytorch-inference:2.9.1-transformers-gpu", &im));
	assert_false(images_parse("ghcr.io/me/xgboost:1", &im)); /* not AWS's first XGBoost */
	assert_true(images_parse("685385470294.dkr.ecr.eu-west-1.amazonaws.com/xgboost:1", &im));
	assert_false(
		images_parse("763104351884.dkr.ecr.eu-west-1.amazonaws.com/caffe:2.0-cpu", &im));
	assert_false(images_parse("x/tensorflow-inference", &im));
	assert_false(images_parse("x/tensorflow-inference:latest", &im));
	assert_false(images_parse("x/tensorflow-inference@sha256:00", &im));
	assert_false(images_parse(
		"x/tensorflow-inference:9999999999999999999999999999999999999999-cpu", &im));
	assert_false(images_parse("", &im));
}

static void versions(void **state)
{
	(void)state;
	assert_true(version_compare("2.9", "2.10") < 0);
	assert_true(version_compare("2.10", "2.10.1") < 0);
	assert_true(version_compare("2.10.1", "2.10.1") == 0);
	assert_true(version_compare("2.16.0-rc1", "2.16.0") == 0);
	assert_true(version_compare("10.0", "9.9.9") > 0);
	assert_true(version_compare("1.2-2", "1.2-1") > 0);
	assert_true(version_compare("1.2-1", "1.2") > 0);
	assert_true(version_compare("1.4-2-py312", "1.4-2") == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uris),
		cmocka_unit_test(refusals),
		cmocka_unit_test(default_versions),
		cmocka_unit_test(parsing),
		cmocka_unit_test(versions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
