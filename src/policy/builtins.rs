//! The builtins that policies may call, and capped versions of those that could run away.
//!
//! regorus looks at its timer between expressions and never inside of a builtin: one call of
//! `numbers.range(1, 100000000)` takes seconds and gigabytes, and `to_number("1e2000000000")`,
//! whose text an agent may choose, never ends. An extension wins over a builtin of the same name.

use std::collections::BTreeSet;

use anyhow::Result;
use anyhow::bail;
use regorus::Engine;
use regorus::Value;
use regorus::unstable::BUILTINS;
use regorus::unstable::Expr;
use regorus::unstable::Ref;
use regorus::unstable::Source;
use regorus::unstable::Span;

/// The most elements that `numbers.range`, `numbers.range_step` and `net.cidr_expand` give.
const ELEMENTS_MAX: u64 = 10_000;
/// The widest padding or precision of `sprintf`, in characters.
const WIDTH_MAX: usize = 256;
/// The longest text that a builtin may make out of shorter ones, in bytes.
const TEXT_BYTES_MAX: usize = 16 << 20;
/// The most numbers that `product` multiplies.
const FACTORS_MAX: u64 = 1_000;
/// The most items of an array that `array.concat` makes out of two.
const JOINED_MAX: u64 = 1_000_000;
/// The longest text that is read as a number, in bytes.
const NUMBER_BYTES_MAX: usize = 400;
/// The largest power of ten of a number that is given as text.
const EXPONENT_MAX: u32 = 400;
/// The most bits that `bits.lsh` moves by.
const SHIFT_MAX: u64 = 4_096;

/// How a builtin may be called.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// With this many arguments.
    Arguments(usize),
    /// With as many as one likes.
    Any,
    /// Not at all, for this reason.
    Forbidden(&'static str),
    /// There is no such builtin.
    Unknown,
}

/// What we know about the builtin `name`.
pub(super) fn known(name: &str) -> Known {
    if let Some(reason) = forbidden(name) {
        return Known::Forbidden(reason);
    }
    if name == "print" {
        return Known::Any;
    }
    match BUILTINS.get(name) {
        Some((_, arguments)) if !name.starts_with("__") => Known::Arguments(usize::from(*arguments)),
        _ => Known::Unknown,
    }
}

/// Why `name` must not be used, if so. A policy answers from its input and data alone, so that an
/// answer can be explained, replayed and cached.
fn forbidden(name: &str) -> Option<&'static str> {
    Some(match name {
        "http.send" => "a policy does not call out; put what it needs into a data file",
        "opa.runtime" => "a policy does not see the process that runs it",
        "time.now_ns" => "use `time.parse_rfc3339_ns(input.context.time)`, so that a decision can be replayed",
        "rand.intn" | "uuid.rfc4122" => "the same call must always get the same answer",
        "graph.reachable_paths" => "its result can grow without bound and cannot be interrupted; use `graph.reachable`",
        "trace" => "use `print`, which `policy test` shows",
        _ => return None,
    })
}

/// The builtins that have a capped version, with the number of their arguments.
const CAPPED: [(&str, u8, Function); 21] = [
    ("numbers.range", 2, range),
    ("numbers.range_step", 3, range),
    ("net.cidr_expand", 1, cidr_expand),
    ("sprintf", 2, sprintf),
    ("replace", 3, replace),
    ("strings.replace_n", 2, replace_n),
    ("regex.replace", 3, regex_replace),
    ("to_number", 1, number_text),
    ("units.parse", 1, number_text),
    ("units.parse_bytes", 1, number_text),
    ("bits.lsh", 2, shift),
    ("concat", 2, concat),
    ("array.concat", 2, array_concat),
    ("json.marshal", 1, marshal),
    ("json.marshal_with_options", 2, marshal),
    ("hex.encode", 1, encode),
    ("base64.encode", 1, encode),
    ("base64url.encode", 1, encode),
    ("base64url.encode_no_pad", 1, encode),
    ("urlquery.encode", 1, encode),
    ("product", 1, product),
];

type Function = fn(&str, &[Value]) -> Result<Value>;

/// Gives `engine` the capped versions of the builtins that are among `used`. An engine is cloned
/// for each call, with all its extensions, so those that nobody uses would only cost.
///
/// # Errors
/// If it has some already.
pub(super) fn add_capped(engine: &mut Engine, used: &BTreeSet<String>) -> Result<()> {
    for (name, arguments, function) in CAPPED.into_iter().filter(|(name, ..)| used.contains(*name)) {
        let extension = move |values: Vec<Value>| function(name, &values);
        engine.add_extension(name.to_owned(), arguments, Box::new(extension))?;
    }
    Ok(())
}

fn range(name: &str, values: &[Value]) -> Result<Value> {
    if let [from, to, rest @ ..] = values {
        let distance = to.as_number()?.sub(from.as_number()?)?.abs();
        let step = rest.first().and_then(|step| step.as_u64().ok()).unwrap_or(1).max(1);
        match distance.as_u64() {
            Some(distance) if distance / step < ELEMENTS_MAX => {}
            Some(_) | None => bail!("`{name}` gives at most {ELEMENTS_MAX} numbers"),
        }
    }
    call(name, values)
}

fn cidr_expand(name: &str, values: &[Value]) -> Result<Value> {
    if let Some(net) = values.first().and_then(|text| text.as_string().ok()).and_then(|text| text.parse().ok()) {
        let net: ipnet::IpNet = net;
        let bits = u32::from(net.max_prefix_len() - net.prefix_len());
        if 1u64.checked_shl(bits).is_none_or(|addresses| bits >= 64 || addresses > ELEMENTS_MAX) {
            bail!("`{name}` gives at most {ELEMENTS_MAX} addresses, and `{net}` has more; use `net.cidr_contains`");
        }
    }
    call(name, values)
}

/// Refuses widths that would fill the memory, and digits that regorus' parser cannot read.
fn sprintf(name: &str, values: &[Value]) -> Result<Value> {
    if let Some(format) = values.first().and_then(|format| format.as_string().ok()) {
        let mut rest = format.chars().peekable();
        while let Some(next) = rest.next() {
            if next != '%' {
                continue;
            }
            let mut width = 0usize;
            let mut first = true;
            while let Some(digit) = rest.next_if(|c| c.is_numeric() || (first && *c == '.')) {
                first = false;
                let digit = match digit {
                    '.' => 0,
                    digit => match digit.to_digit(10) {
                        Some(digit) => digit as usize,
                        None => bail!("`{name}` does not take `{digit}` as a digit"),
                    },
                };
                width = width.saturating_mul(10).saturating_add(digit);
            }
            if width > WIDTH_MAX {
                bail!("`{name}` pads to at most {WIDTH_MAX} characters");
            }
            rest.next();
        }
    }
    fits_written(name, values)?;
    call(name, values)
}

fn concat(name: &str, values: &[Value]) -> Result<Value> {
    if let [Value::String(between), texts] = values {
        let lengths = |texts: &mut dyn Iterator<Item = &Value>| {
            texts.fold(0usize, |bytes, text| {
                let text = text.as_string().map_or(0, |text| text.len());
                bytes.saturating_add(text).saturating_add(between.len())
            })
        };
        fits(
            name,
            match texts {
                Value::Array(texts) => lengths(&mut texts.iter()),
                Value::Set(texts) => lengths(&mut texts.iter_sorted()),
                _ => 0,
            },
        )?;
    }
    call(name, values)
}

fn array_concat(name: &str, values: &[Value]) -> Result<Value> {
    let length = values.iter().filter_map(|value| value.as_array().ok()).map(|items| items.len() as u64).sum::<u64>();
    if length > JOINED_MAX {
        bail!("`{name}` gives at most {JOINED_MAX} items");
    }
    call(name, values)
}

fn marshal(name: &str, values: &[Value]) -> Result<Value> {
    fits_written(name, values.get(..1).unwrap_or_default())?;
    call(name, values)
}

/// Each byte becomes at most three.
fn encode(name: &str, values: &[Value]) -> Result<Value> {
    if let Some(Value::String(text)) = values.first() {
        fits(name, text.len().saturating_mul(3))?;
    }
    call(name, values)
}

fn product(name: &str, values: &[Value]) -> Result<Value> {
    let factors = match values.first() {
        Some(Value::Array(factors)) => factors.len() as u64,
        Some(Value::Set(factors)) => factors.len() as u64,
        _ => 0,
    };
    if factors > FACTORS_MAX {
        bail!("`{name}` multiplies at most {FACTORS_MAX} numbers");
    }
    call(name, values)
}

/// Refuses values whose text would be too long. Values share what they are made of, so that few of
/// them can stand for very many: the walk gives up as soon as it is too much.
fn fits_written(name: &str, values: &[Value]) -> Result<()> {
    fn write(value: &Value, bytes: &mut usize) {
        // With the quotes, commas and braces around it.
        *bytes = bytes.saturating_add(4);
        if *bytes > TEXT_BYTES_MAX {
            return;
        }
        match value {
            Value::String(text) => *bytes = bytes.saturating_add(text.len()),
            Value::Array(items) => items.iter().for_each(|item| write(item, bytes)),
            Value::Set(items) => items.iter_sorted().for_each(|item| write(item, bytes)),
            Value::Object(fields) => fields.iter_sorted().for_each(|(key, value)| {
                write(key, bytes);
                write(value, bytes);
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Undefined => {}
        }
    }
    let mut bytes = 0;
    values.iter().for_each(|value| write(value, &mut bytes));
    fits(name, bytes)
}

fn replace(name: &str, values: &[Value]) -> Result<Value> {
    if let [Value::String(text), Value::String(old), Value::String(new)] = values {
        return Ok(Value::from(replaced(name, text, old, new)?));
    }
    call(name, values)
}

fn replace_n(name: &str, values: &[Value]) -> Result<Value> {
    let [Value::Object(patterns), Value::String(text)] = values else { return call(name, values) };
    let mut text = text.to_string();
    for (old, new) in patterns.iter_sorted() {
        let (Ok(old), Ok(new)) = (old.as_string(), new.as_string()) else {
            bail!("`{name}` expects texts as keys and values of its patterns");
        };
        text = replaced(name, &text, old, new)?;
    }
    Ok(Value::from(text))
}

fn replaced(name: &str, text: &str, old: &str, new: &str) -> Result<String> {
    let found = text.matches(old).count();
    fits(name, text.len().saturating_add(found.saturating_mul(new.len())))?;
    Ok(text.replace(old, new))
}

fn regex_replace(name: &str, values: &[Value]) -> Result<Value> {
    if let [Value::String(text), _, Value::String(new)] = values {
        // A match may be empty, and `$0` repeats it: this is the longest that can come of it.
        fits(name, text.len().saturating_add(1).saturating_mul(new.len().saturating_add(1)))?;
    }
    call(name, values)
}

fn fits(name: &str, bytes: usize) -> Result<()> {
    if bytes > TEXT_BYTES_MAX {
        bail!("`{name}` makes texts of at most {TEXT_BYTES_MAX} bytes");
    }
    Ok(())
}

fn number_text(name: &str, values: &[Value]) -> Result<Value> {
    if let Some(Value::String(text)) = values.first() {
        if text.len() > NUMBER_BYTES_MAX {
            bail!("`{name}` reads numbers of at most {NUMBER_BYTES_MAX} characters");
        }
        // OPA does not read them either.
        if text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace) {
            bail!("`{name}` reads no number with space around it");
        }
        let exponent = text.rsplit_once(['e', 'E']).map(|(_, exponent)| {
            let digits: String = exponent.chars().filter(char::is_ascii_digit).collect();
            digits.parse::<u32>().unwrap_or(if digits.is_empty() { 0 } else { u32::MAX })
        });
        if exponent.is_some_and(|exponent| exponent > EXPONENT_MAX) {
            bail!("`{name}` reads numbers up to a power of {EXPONENT_MAX} of ten");
        }
    }
    call(name, values)
}

fn shift(name: &str, values: &[Value]) -> Result<Value> {
    if values.get(1).and_then(|by| by.as_u64().ok()).is_some_and(|by| by > SHIFT_MAX) {
        bail!("`{name}` shifts by at most {SHIFT_MAX} bits");
    }
    call(name, values)
}

/// Calls regorus' own builtin, in strict mode.
fn call(name: &str, values: &[Value]) -> Result<Value> {
    let Some((function, _)) = BUILTINS.get(name) else { bail!("there is no builtin `{name}`") };
    // Builtins want the expressions that the values came from, for the text of their errors. The
    // place in the policy is added around our error, so these stand for it.
    let source = Source::from_contents(name.to_owned(), "argument".to_owned())?;
    let span = Span { source, line: 1, col: 1, start: 0, end: 8 };
    let argument = Ref::new(Expr::Null { span: span.clone(), value: Value::Null, eidx: 0 });
    let arguments = vec![argument; values.len()];
    function(&span, &arguments, values, true).map_err(|error| {
        let text = error.to_string();
        anyhow::anyhow!("{}", text.rsplit_once("error: ").map_or(text.as_str(), |(_, last)| last))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capped_builtin_is_a_builtin_of_regorus_with_as_many_arguments() {
        for (name, arguments, _) in CAPPED {
            assert_eq!(known(name), Known::Arguments(usize::from(arguments)), "{name}");
        }
    }

    #[test]
    fn every_forbidden_builtin_says_what_to_do_instead() {
        for name in ["http.send", "opa.runtime", "time.now_ns", "rand.intn", "uuid.rfc4122", "trace"] {
            assert!(matches!(known(name), Known::Forbidden(_)), "{name}");
        }
    }

    fn answer(expression: &str) -> String {
        let mut engine = Engine::new();
        add_capped(&mut engine, &CAPPED.iter().map(|(name, ..)| (*name).to_owned()).collect()).unwrap();
        engine.add_policy("p.rego".into(), format!("package p\nx := {expression}")).unwrap();
        match engine.eval_rule("data.p.x".into()) {
            Ok(value) => value.to_string(),
            Err(error) => error.to_string().rsplit("error: ").next().unwrap_or_default().to_owned(),
        }
    }

    #[test]
    fn capped_builtins_answer_like_the_ones_they_replace() {
        for (expression, expected) in [
            ("numbers.range(1, 3)", "[1,2,3]"),
            ("numbers.range(3, 1)", "[3,2,1]"),
            ("numbers.range_step(0, 10, 5)", "[0,5,10]"),
            ("count(numbers.range_step(0, 100000000, 100000))", "1001"),
            ("net.cidr_expand(\"10.0.0.0/31\")", "[\"10.0.0.0\",\"10.0.0.1\"]"),
            ("sprintf(\"%5d|%s|%05d|%.2f|100%%\", [7, \"a\", 42, 1.5])", "\"    7|a|00042|1.50|100%\""),
            ("replace(\"banana\", \"an\", \"-\")", "\"b--a\""),
            ("strings.replace_n({\"a\": \"1\", \"b\": \"2\"}, \"abc\")", "\"12c\""),
            ("regex.replace(\"a1b2\", \"[0-9]\", \"#\")", "\"a#b#\""),
            ("to_number(\"12.5\")", "12.5"),
            ("to_number(\"1e3\")", "1000"),
            ("units.parse_bytes(\"1KiB\")", "1024"),
            ("bits.lsh(1, 8)", "256"),
            ("concat(\", \", [\"a\", \"b\"])", "\"a, b\""),
            ("concat(\"\", {\"b\", \"a\"})", "\"ab\""),
            ("array.concat([1], [2])", "[1,2]"),
            ("json.marshal({\"a\": [1, \"x\"]})", "\"{\\\"a\\\":[1,\\\"x\\\"]}\""),
            ("hex.encode(\"ab\")", "\"6162\""),
            ("base64.encode(\"ab\")", "\"YWI=\""),
            ("base64url.encode(\"ab\")", "\"YWI=\""),
            ("base64url.encode_no_pad(\"ab\")", "\"YWI\""),
            ("urlquery.encode(\"a b\")", "\"a+b\""),
            ("product([2, 3])", "6"),
        ] {
            assert_eq!(answer(expression), expected, "{expression}");
        }
    }

    #[test]
    fn capped_builtins_refuse_what_would_not_end() {
        for (expression, expected) in [
            ("numbers.range(1, 100000000)", "`numbers.range` gives at most 10000 numbers"),
            ("numbers.range(1, 1e300)", "`numbers.range` gives at most 10000 numbers"),
            ("numbers.range_step(1, 100000000, 2)", "`numbers.range_step` gives at most 10000 numbers"),
            (
                "net.cidr_expand(\"10.0.0.0/8\")",
                "`net.cidr_expand` gives at most 10000 addresses, and `10.0.0.0/8` has more; use `net.cidr_contains`",
            ),
            (
                "net.cidr_expand(\"::/0\")",
                "`net.cidr_expand` gives at most 10000 addresses, and `::/0` has more; use `net.cidr_contains`",
            ),
            ("sprintf(\"%999999999d\", [1])", "`sprintf` pads to at most 256 characters"),
            ("sprintf(\"%.99999999999999999999f\", [1.5])", "`sprintf` pads to at most 256 characters"),
            ("sprintf(\"%²d\", [1])", "`sprintf` does not take `²` as a digit"),
            (
                "replace(sprintf(\"%256d\", [1]), \"\", concat(\"\", [x | some _ in numbers.range(1, 1000); x := sprintf(\"%256d\", [1])]))",
                "`replace` makes texts of at most 16777216 bytes",
            ),
            ("to_number(\"1e2000000000\")", "`to_number` reads numbers up to a power of 400 of ten"),
            ("units.parse(\"1e2000000000Ki\")", "`units.parse` reads numbers up to a power of 400 of ten"),
            ("bits.lsh(1, 1000000000)", "`bits.lsh` shifts by at most 4096 bits"),
            ("to_number(\" 1\")", "`to_number` reads no number with space around it"),
            ("to_number(\"1\\n\")", "`to_number` reads no number with space around it"),
            ("to_number(\"many\")", "could not parse string as number"),
        ] {
            assert_eq!(answer(expression), expected, "{expression}");
        }
    }
}
