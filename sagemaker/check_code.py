"""Reads scripts of a model without running them: one line each for what does not compile and for what is imported.

argv: the Python of the image as "3.10" or "", then files. Lines, fields between tabs:
V MAJOR.MINOR              the Python that looks
S FILE LINE SENTENCE       a syntax error
N FILE LINE SENTENCE       fine here, not for the image's Python
I FILE MODULE              an import that no except: catches, of a module that is not Python's own
"""
import ast
import sys

LIMIT = 4 << 20
own = set(getattr(sys, "stdlib_module_names", ()))  # since 3.10


def line(*fields):
    print("\t".join(str(f).replace("\t", " ").replace("\n", " ") for f in fields))


def imports(node, out):
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            out.update(name.name.split(".")[0] for name in child.names)
        elif isinstance(child, ast.ImportFrom) and child.level == 0 and child.module:
            out.add(child.module.split(".")[0])
        elif not (isinstance(child, ast.Try) and child.handlers) and not isinstance(child, ast.If):
            imports(child, out)


def look(path, wanted):
    with open(path, "rb") as file:
        text = file.read(LIMIT)
    try:
        tree = ast.parse(text, path)
    except (SyntaxError, ValueError) as error:
        return line("S", path, getattr(error, "lineno", None) or 1, getattr(error, "msg", None) or error)
    except (RecursionError, MemoryError):
        return None
    if wanted and wanted < sys.version_info[:2]:
        try:
            ast.parse(text, path, feature_version=wanted)
        except (SyntaxError, ValueError) as error:
            line("N", path, getattr(error, "lineno", None) or 1, getattr(error, "msg", None) or error)
    found = set()
    imports(tree, found)
    for name in sorted(found - own) if own else ():
        line("I", path, name)
    return None


line("V", "%d.%d" % sys.version_info[:2])
image = tuple(int(n) for n in sys.argv[1].split(".")) if sys.argv[1] else None
for each in sys.argv[2:]:
    try:
        look(each, image)
    except OSError:
        pass
