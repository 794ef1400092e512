# Flattens the part of YAML that cloud-init data is written in (and all of JSON): one line 'path<TAB>value' for each
# scalar, the path's steps joined by dots. Read: block maps and sequences, flow [ ] and { }, plain and quoted scalars,
# literal blocks | and >. Not read: anchors, tags, several documents, keys with dots. In values \ is \\ and a line end is \n.
{ sub(/\r$/, ""); line[++count] = $0 }
END {
  at = 1
  skip()
  if (at > count) exit
  if (line[at] ~ /^ *[\[{]/) value(line[at], "")
  else block(indent_of(line[at]), "")
}
function indent_of(text) { match(text, /^ */); return RLENGTH }
function join(path, step) { return path == "" ? step "" : path "." step }
function emit(path, text) { gsub(/\\/, "\\\\", text); gsub(/\n/, "\\n", text); gsub(/\t/, "\\t", text); print path "\t" text }
function trim(text) { sub(/^[ \t]+/, "", text); sub(/[ \t]+$/, "", text); return text }
function skip() { while (at <= count && (line[at] ~ /^ *(#.*)?$/ || line[at] ~ /^(---|\.\.\.)( |$)/)) at++ }
function spaces(n,    text) { text = ""; while (n-- > 0) text = text " "; return text }

# Where a map entry's key ends in `text`: the position of its colon, or 0.
function colon(text,    i, c, quote) {
  if (text ~ /^[\[{#|>&*!]/) return 0
  quote = ""
  for (i = 1; i <= length(text); i++) {
    c = substr(text, i, 1)
    if (quote != "") { if (c == quote) quote = ""; continue }
    if ((c == "\"" || c == "'") && i == 1) { quote = c; continue }
    if (c == ":" && (i == length(text) || substr(text, i + 1, 1) == " ")) return i
    if (c == "#" && substr(text, i - 1, 1) == " ") return 0
  }
  return 0
}

function block(indent, path,    text, item, is_sequence, rest, end) {
  is_sequence = substr(line[at], indent + 1) ~ /^-( |$)/
  item = 0
  for (;;) {
    skip()
    if (at > count || indent_of(line[at]) != indent) return
    text = substr(line[at], indent + 1)
    if ((text ~ /^-( |$)/) != is_sequence) return
    if (is_sequence) {
      rest = trim(substr(text, 2))
      if (rest ~ /^-( |$)/ || colon(rest)) {
        line[at] = spaces(indent + 1) substr(text, 2)
        block(indent_of(line[at]), join(path, item))
      } else entry(rest, indent, join(path, item), 0)
      item++
    } else {
      end = colon(text)
      if (!end) return
      entry(trim(substr(text, end + 1)), indent, join(path, unquote(trim(substr(text, 1, end - 1)))), 1)
    }
  }
}

# What stands behind a dash or a colon of the line `at`.
function entry(rest, indent, path, of_map) {
  if (rest == "" || rest ~ /^#/) {
    at++
    skip()
    if (at > count) return
    if (indent_of(line[at]) > indent || (of_map && indent_of(line[at]) == indent && substr(line[at], indent + 1) ~ /^-( |$)/)) {
      if (line[at] ~ /^ *[\[{]/) value(line[at], path)
      else block(indent_of(line[at]), path)
    }
  } else if (rest ~ /^[|>][-+0-9]* *(#.*)?$/) literal(rest, indent, path)
  else value(rest, path)
}

function literal(style, indent, path,    text, own, first) {
  text = ""
  first = 1
  own = -1
  at++
  while (at <= count) {
    if (line[at] ~ /^ *$/) { if (own >= 0) text = text "\n"; at++; continue }
    if (own < 0) { if (indent_of(line[at]) <= indent) break; own = indent_of(line[at]) }
    if (indent_of(line[at]) < own) break
    if (style ~ /^>/) text = text (first ? "" : " ") substr(line[at], own + 1)
    else text = text substr(line[at], own + 1) "\n"
    first = 0
    at++
  }
  sub(/\n+$/, style ~ /^\|-/ ? "" : "\n", text)
  emit(path, text)
}

# A scalar or a flow collection, which may go on over the next lines.
function value(rest, path) {
  if (trim(rest) ~ /^[\[{]/) {
    flow_text = trim(rest)
    while (!balanced(flow_text) && at < count) flow_text = flow_text "\n" line[++at]
    flow_at = 1
    flow(path)
  } else {
    if (rest !~ /^["']/) sub(/ +#.*$/, "", rest)
    emit(path, unquote(trim(rest)))
  }
  at++
}

function balanced(text,    i, c, quote, depth) {
  quote = ""
  depth = 0
  for (i = 1; i <= length(text); i++) {
    c = substr(text, i, 1)
    if (quote != "") { if (c == "\\" && quote == "\"") i++; else if (c == quote) quote = ""; continue }
    if (c == "\"" || c == "'") quote = c
    else if (c == "[" || c == "{") depth++
    else if (c == "]" || c == "}") depth--
  }
  return depth <= 0
}

function flow_blank() { while (substr(flow_text, flow_at, 1) ~ /[ \t\n,]/ && flow_at <= length(flow_text)) flow_at++ }

function flow(path,    c, item, key) {
  flow_blank()
  c = substr(flow_text, flow_at, 1)
  if (c == "[") {
    flow_at++
    for (item = 0; ; item++) {
      flow_blank()
      if (flow_at > length(flow_text)) return
      if (substr(flow_text, flow_at, 1) == "]") { flow_at++; return }
      flow(join(path, item))
    }
  }
  if (c == "{") {
    flow_at++
    for (;;) {
      flow_blank()
      if (flow_at > length(flow_text)) return
      if (substr(flow_text, flow_at, 1) == "}") { flow_at++; return }
      key = flow_scalar(1)
      flow_blank()
      if (substr(flow_text, flow_at, 1) == ":") flow_at++
      flow(join(path, key))
    }
  }
  emit(path, flow_scalar(0))
}

function flow_scalar(is_key,    c, start, quote) {
  start = flow_at
  quote = substr(flow_text, flow_at, 1)
  if (quote == "\"" || quote == "'") {
    for (flow_at++; flow_at <= length(flow_text); flow_at++) {
      c = substr(flow_text, flow_at, 1)
      if (c == "\\" && quote == "\"") flow_at++
      else if (c == quote) break
    }
    flow_at++
    return unquote(substr(flow_text, start, flow_at - start))
  }
  while (flow_at <= length(flow_text) && (c = substr(flow_text, flow_at, 1)) !~ /[],}\n]/) {
    if (is_key && c == ":") break
    flow_at++
  }
  return trim(substr(flow_text, start, flow_at - start))
}

function unquote(text,    result, i, c) {
  if (text ~ /^'.*'$/) { text = substr(text, 2, length(text) - 2); gsub(/''/, "'", text); return text }
  if (text !~ /^".*"$/) return text
  result = ""
  for (i = 2; i < length(text); i++) {
    c = substr(text, i, 1)
    if (c == "\\") {
      c = substr(text, ++i, 1)
      if (c == "n") c = "\n"
      else if (c == "t") c = "\t"
      else if (c == "r") c = ""
    }
    result = result c
  }
  return result
}
