#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Holds recorded traffic (control-proxy.py --record) against controller-api.yaml.

usage: control-contract.py YAML RECORD [--cover FILE]

Each request must follow its operation's parameters, content type, security and schema, unless it
was answered 4xx; each answer the response of its status. Members that the contract does not name
are violations too, on both sides, so that the file stays complete. --cover lists lines "OPERATION
STATUS" that must have been seen. Prints what was checked; status 1 when something is wrong.
"""
import json
import re
import sys
import urllib.parse

import jsonschema
import yaml

spec = yaml.safe_load(open(sys.argv[1]))
exchanges = [json.loads(line) for line in open(sys.argv[2])]
cover = sys.argv[4] if len(sys.argv) > 4 else None
prefix = "/v1"
wrong = []
seen = {}

formats = jsonschema.FormatChecker(formats=())


@formats.checks("date-time")
def is_date_time(value):
    return not isinstance(value, str) or bool(
        re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", value))


def deref(node):
    """The node behind a $ref; members beside the $ref are only descriptions here."""
    while "$ref" in node:
        target = spec
        for part in node["$ref"][2:].split("/"):
            target = target[part]
        node = target
    return node


def validator(schema):
    """References point into the document's components, so those go along."""
    return jsonschema.Draft202012Validator(
        {"components": spec["components"], "allOf": [schema]}, format_checker=formats)


def unknown_members(schema, value, path):
    schema = deref(schema)
    for option in schema.get("oneOf", ()):
        if validator(option).is_valid(value):
            yield from unknown_members(option, value, path)
    if isinstance(value, dict) and "properties" in schema:
        for key, member in value.items():
            if key in schema["properties"]:
                yield from unknown_members(schema["properties"][key], member, f"{path}.{key}")
            else:
                yield f"{path}.{key}: not in the contract"
    if isinstance(value, list) and "items" in schema:
        for i, item in enumerate(value):
            yield from unknown_members(schema["items"], item, f"{path}[{i}]")


def check_value(schema, value, what, strict=True):
    for e in validator(schema).iter_errors(value):
        path = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in e.absolute_path)
        wrong.append(f"{what} {path}: {e.message[:200]}")
    if strict:
        wrong.extend(f"{what} {text}" for text in unknown_members(schema, value, ""))


def find_operation(method, path):
    for template, item in spec["paths"].items():
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", prefix + template)
        match = re.fullmatch(pattern, path)
        if match and method.lower() in item:
            operation = item[method.lower()]
            parameters = item.get("parameters", []) + operation.get("parameters", [])
            return operation, [deref(p) for p in parameters], match.groupdict()
    return None, None, None


def check_parameters(parameters, in_path, query, what):
    names = {p["name"] for p in parameters if p["in"] == "query"}
    wrong.extend(f"{what} ?{name}: not in the contract" for name in query if name not in names)
    for p in parameters:
        value = in_path.get(p["name"]) if p["in"] == "path" else query.get(p["name"])
        if value is None:
            if p.get("required"):
                wrong.append(f"{what} {p['name']}: missing")
            continue
        if deref(p["schema"])["type"] == "integer":
            value = int(value) if value.isdigit() else value
        check_value(p["schema"], value, f"{what} {p['name']}")


def check_body(content, content_type, text, what):
    kind = (content_type or "").split(";")[0]
    if kind not in content:
        wrong.append(f"{what}: content type {kind}")
        return
    schema = content[kind]["schema"]
    if kind == "text/plain":
        check_value(schema, text, what)
        return
    try:
        value = json.loads(text)
    except ValueError as e:
        wrong.append(f"{what}: {e}")
        return
    # The contract leaves the result open on purpose.
    check_value(schema, value, what, strict="result request" not in what)


def check_problem(x, what):
    problem = json.loads(x["reply"])
    if problem.get("status") != x["status"]:
        wrong.append(f"{what}: status {problem.get('status')} in a {x['status']}")
    if x["status"] in (429, 503) and not (x["retry_after"] or "").isdigit():
        wrong.append(f"{what}: no Retry-After")


for number, x in enumerate(exchanges):
    url = urllib.parse.urlsplit(x["path"])
    query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
    operation, parameters, in_path = find_operation(x["method"], url.path)
    refused = 400 <= x["status"] < 500 and x["status"] != 410
    if not operation:
        name = f"{number}: {x['method']} {url.path}"
        seen["unknown", x["status"]] = seen.get(("unknown", x["status"]), 0) + 1
        if x["status"] not in (404, 405):
            wrong.append(f"{name}: {x['status']} for what is not in the contract")
        check_value({"$ref": "#/components/schemas/Problem"}, json.loads(x["reply"]), name)
        continue
    name = operation["operationId"]
    seen[name, x["status"]] = seen.get((name, x["status"]), 0) + 1
    if not refused:
        what = f"{number}: {name} request"
        check_parameters(parameters, in_path, query, what)
        if "requestBody" in operation:
            check_body(operation["requestBody"]["content"], x["request_type"], x["request"], what)
        elif x["request"]:
            wrong.append(f"{what}: has a body")
        if operation.get("security") != [] and not re.fullmatch(r"Bearer \S+", x["auth"] or ""):
            wrong.append(f"{what}: no session token")
    what = f"{number}: {name} {x['status']}"
    response = operation["responses"].get(str(x["status"]))
    if not response:
        wrong.append(f"{what}: a status that the contract does not give")
        continue
    check_body(deref(response)["content"], x["reply_type"], x["reply"], what)
    if x["status"] >= 400:
        check_problem(x, what)

for (name, status), count in sorted(seen.items()):
    print(f"{name:12} {status} {count:5}")
if cover:
    for line in open(cover):
        name, status = line.split()
        if (name, int(status)) not in seen:
            wrong.append(f"never seen: {name} {status}")
for text in wrong[:40]:
    print("WRONG", text)
print(f"{len(exchanges)} exchanges, {len(wrong)} violations")
sys.exit(1 if wrong or not exchanges else 0)
