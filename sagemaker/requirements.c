/* requirements.c: code/requirements.txt, which the containers hand to pip before the model is loaded. */
#include "sagemaker/requirements.h"

#include <ctype.h>
#include <errno.h>

#define TEXT_MAX ((size_t)1 << 20)

static int read_text(const struct package_plan *p, struct buf *out, struct err *e)
{
	const struct package_member *m = plan_find(p, "code/requirements.txt");

	out->max = TEXT_MAX;
	if (!m)
		return 0;
	if (!m->path)
		return buf_str(out, m->content);
	if (buf_read_file(out, p->dirfd, m->path))
		return err_errno(e, "read '%s'", m->path);
	if (starts_with(buf_cstr(out), "\xef\xbb\xbf")) /* pip reads on behind it, too */
		buf_remove(out, 3);
	return 0;
}

/* '-', '_' and '.' are the same to pip, and upper and lower case. */
static int fold(char c)
{
	return c == '_' || c == '.' ? '-' : tolower((unsigned char)c);
}

static bool same_name(const char *a, size_t n, const char *b, size_t m)
{
	size_t i = 0;

	while (i < n && i < m && fold(a[i]) == fold(b[i]))
		i++;
	return n == m && i == n;
}

static size_t name_length(const char *s)
{
	size_t n = 0;

	while (isalnum((unsigned char)s[n]) || (s[n] && strchr("-_.", s[n])))
		n++;
	return n;
}

int requirements_name(const struct package_plan *p, const char *package, bool *named, struct err *e)
{
	_cleanup_buf_ struct buf text = BUF_INIT(TEXT_MAX);

	*named = false;
	if (read_text(p, &text, e))
		return -1;
	for (const char *line = buf_cstr(&text); *line && !*named;) {
		line += strspn(line, " \t\r\n");
		*named = same_name(line, name_length(line), package, name_length(package));
		line += strcspn(line, "\n");
	}
	return 0;
}

/* Modules whose package is called otherwise. */
static const struct {
	const char *module, *package;
} packages[] = {
	{"sklearn",     "scikit-learn"          },
	{"PIL",         "pillow"                },
	{"cv2",         "opencv-python"         },
	{"cv2",         "opencv-python-headless"},
	{"yaml",        "pyyaml"                },
	{"skimage",     "scikit-image"          },
	{"bs4",         "beautifulsoup4"        },
	{"dateutil",    "python-dateutil"       },
	{"dotenv",      "python-dotenv"         },
	{"faiss",       "faiss-cpu"             },
	{"tensorflow",  "tensorflow-cpu"        },
	{"onnxruntime", "onnxruntime-gpu"       },
	{"xgboost",     "xgboost-cpu"           },
	{"attr",        "attrs"                 },
	{"jwt",         "pyjwt"                 },
	{"google",      "protobuf"              },
	{"imblearn",    "imbalanced-learn"      },
};

int requirements_module(const struct package_plan *p, const char *module, bool *is, struct err *e)
{
	if (requirements_name(p, module, is, e) || *is)
		return *is ? 0 : -1;
	for (size_t i = 0; i < ARRAY_SIZE(packages) && !*is; i++)
		if (streq(packages[i].module, module) &&
		    requirements_name(p, packages[i].package, is, e))
			return -1;
	return 0;
}

/* "[a,b]", then nothing, a condition, a URL or a marker. */
static const char *judge_rest(const char *s)
{
	static const char *const operators[] = {"==", "~=", "!=", "<=", ">=", "<", ">"};

	if (*s == '[') {
		s = strchr(s, ']');
		if (!s)
			return "a '[' without ']'";
		s++;
	}
	s += strspn(s, " \t(");
	if (!*s || *s == ';' || *s == '@' || *s == '#')
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(operators); i++)
		if (starts_with(s, operators[i]) && s[strlen(operators[i])])
			return NULL;
	return *s == '=' ? "a version is asked for with '=='" : "it is no requirement";
}

/* A URL, or a file. */
static bool is_place(const char *s)
{
	return strstr(s, "://") || starts_with(s, "./") || starts_with(s, "/") ||
	       ends_with(s, ".whl") || ends_with(s, ".gz");
}

static bool is_command(const char *s)
{
	static const char *const commands[] = {"pip ", "pip3 ", "import ", "conda ", "python "};

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (starts_with(s, commands[i]))
			return true;
	return false;
}

/* NULL, or what is wrong with the line. */
static const char *judge(const char *s)
{
	size_t n = name_length(s);

	if (!*s || *s == '#' || *s == '-' || is_place(s))
		return NULL; /* comments, options */
	if (is_command(s))
		return "it is a command, and only names of packages belong there";
	if (n == 0 || !isalnum((unsigned char)*s))
		return "it does not begin with a package's name";
	return judge_rest(s + n);
}

static void check_line(struct package_plan *p, const struct package_member *m, int number,
		       const char *line, size_t n)
{
	char text[512];

	while (n && (isspace((unsigned char)line[n - 1]) || line[n - 1] == '\\'))
		n--;
	while (n && isspace((unsigned char)*line)) {
		line++;
		n--;
	}
	snprintf(text, sizeof(text), "%.*s", (int)MIN(n, sizeof(text) - 1), line);
	if (strstr(text, " #"))
		*strstr(text, " #") = '\0';
	const char *why = judge(text);
	if (why)
		plan_fail(p, EINVAL,
			  "line %d of '%s', '%.60s': %s; pip would refuse it and the endpoint fail",
			  number, m->path, text, why);
	if (starts_with(text, "-e ") || starts_with(text, "./") || starts_with(text, "/"))
		plan_note(p,
			  "warning: line %d of %s, '%.60s', names a path, which must be in code/",
			  number, m->path, text);
}

int requirements_check(struct package_plan *p, struct err *e)
{
	const struct package_member *m = plan_find(p, "code/requirements.txt");
	_cleanup_buf_ struct buf text = BUF_INIT(TEXT_MAX);
	bool goes_on = false;
	int number = 0;

	if (!m || !m->path)
		return 0;
	if (read_text(p, &text, e))
		return -1;
	if (memchr(text.data ? text.data : "", '\0', text.len) ||
	    starts_with(buf_cstr(&text), "\xff\xfe"))
		plan_fail(p, EINVAL,
			  "'%s' is not UTF-8 text (saved as UTF-16?): pip would refuse it",
			  m->path);
	for (const char *line = buf_cstr(&text); *line;) {
		size_t n = strcspn(line, "\n");

		number++;
		if (!goes_on)
			check_line(p, m, number, line, n);
		goes_on = n && line[n - 1] == '\\';
		line += n + (line[n] == '\n');
	}
	return 0;
}
