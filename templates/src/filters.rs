//! One filter per language a value is written in. A template that prints text without one of them
//! is refused when it is rendered, so nothing can be forgotten.

use std::fmt::Write as _;
use std::io;

use tera::{Error, Kwargs, State, Tera, TeraResult, Value};

/// Adds all filters, and refuses text that went through none.
pub(crate) fn register(tera: &mut Tera) {
    tera.autoescape_on([""]);
    tera.set_escape_fn(refuse);
    add(tera, "debconf", debconf);
    add(tera, "hocon", json);
    add(tera, "html", html);
    add(tera, "js", js);
    add(tera, "line", line);
    add(tera, "lua", lua);
    add(tera, "nginx", nginx);
    add(tera, "python", python);
    add(tera, "systemd", systemd);
}

type Escaped = Result<String, &'static str>;

fn add(tera: &mut Tera, name: &'static str, escape: fn(&str) -> Escaped) {
    tera.register_filter(name, move |text: &str, _: Kwargs, _: &State| -> TeraResult<Value> {
        if text.contains('\0') {
            return Err(Error::message(format!("{name}: a value holds a NUL character")));
        }
        let escaped =
            escape(text).map_err(|why| Error::message(format!("{name}: a value {why}")))?;
        Ok(Value::safe_string(&escaped))
    });
}

fn refuse(_: &str, _: &mut dyn io::Write) -> io::Result<()> {
    Err(io::Error::other("text is printed without an escaping filter"))
}

/// A Lua string literal. Control characters become `\ddd`, so that it stays on one line.
#[expect(clippy::unnecessary_wraps, reason = "one signature for all languages")]
fn lua(text: &str) -> Escaped {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_ascii_control() => {
                let _ = write!(out, "\\{:03}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    Ok(out)
}

/// A JSON string, which is what HOCON takes in quotes: nothing is substituted in it.
fn json(text: &str) -> Escaped {
    serde_json::to_string(text).map_err(|_| "is no JSON string")
}

/// A JavaScript string literal in a file nginx looks through for server-side includes (`<!--#`).
fn js(text: &str) -> Escaped {
    let quoted = json(text)?;
    Ok(quoted.replace('<', "\\u003c").replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029"))
}

/// Text in an HTML page; a page too may be looked through for server-side includes.
fn html(text: &str) -> Escaped {
    let mut out = Vec::new();
    tera::escape_html(text, &mut out).map_err(|_| "cannot be written in HTML")?;
    String::from_utf8(out).map_err(|_| "cannot be written in HTML")
}

/// An nginx parameter in quotes. nginx has no way to write a plain `$`.
fn nginx(text: &str) -> Escaped {
    if text.chars().any(|c| c == '$' || c.is_control()) {
        return Err("holds `$` or a control character, which nginx.conf cannot express");
    }
    Ok(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}

/// A Python string literal in ASCII.
#[expect(clippy::unnecessary_wraps, reason = "one signature for all languages")]
fn python(text: &str) -> Escaped {
    // JSON stays readable.
    let quote = if text.contains('"') { '\'' } else { '"' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            c if c == quote || c == '\\' => {
                out.push('\\');
                out.push(c);
            }
            ' '..='~' => out.push(c),
            c => {
                let _ = write!(out, "\\U{:08x}", u32::from(c));
            }
        }
    }
    out.push(quote);
    Ok(out)
}

/// The rest of a line, in formats that have no quoting: apt's; a comment.
fn line(text: &str) -> Escaped {
    if text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
        return Err("holds a line break or another control character");
    }
    if text.trim() != text || text.is_empty() {
        return Err("is empty, or begins or ends with white space");
    }
    Ok(text.to_owned())
}

/// A value for debconf-set-selections: the rest of a line that is not continued.
fn debconf(text: &str) -> Escaped {
    if text.ends_with('\\') {
        return Err("ends with a backslash, which continues a debconf line");
    }
    line(text)
}

/// A word of a unit file: neither quotes nor specifiers nor variables.
fn systemd(text: &str) -> Escaped {
    if text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c)) && !text.is_empty() {
        return Ok(text.to_owned());
    }
    Err("is not a plain path, and a unit file would need it quoted")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\"b\\c$d\ne<!--#include -->";

    #[test]
    fn nginx_quotes_or_refuses() {
        assert_eq!(nginx(r#"a "b" \c;{}#"#).as_deref(), Ok(r#""a \"b\" \\c;{}#""#));
        assert!(nginx(HOSTILE).is_err());
        assert!(nginx("$host").is_err());
        assert!(nginx("a\nb").is_err());
    }

    #[test]
    fn javascript_and_html_start_no_server_side_include() {
        assert!(!js(HOSTILE).unwrap().contains('<'));
        assert!(!html(HOSTILE).unwrap().contains('<'));
    }

    #[test]
    fn unit_files_take_plain_paths_only() {
        assert!(systemd("/usr/local/bin/jitsi-agent").is_ok());
        for text in ["", "a b", "%n", "$HOME", "a\\x20b", "a\nb", "\"a\""] {
            assert!(systemd(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn debconf_lines_are_not_continued() {
        assert!(debconf("a\\b").is_ok());
        assert!(debconf("a\\").is_err());
        assert!(debconf(" a").is_err());
    }

    fn render(template: &str, value: &str) -> TeraResult<String> {
        let mut tera = Tera::new();
        register(&mut tera);
        tera.add_raw_template("t", template)?;
        let mut context = tera::Context::new();
        context.insert("value", value);
        tera.render("t", &context)
    }

    #[test]
    fn text_without_a_filter_is_refused() {
        assert!(render("{{ value }}", "harmless").is_err());
        assert!(render("{{ ('x' ~ value) | lua }}", "harmless").is_ok());
        assert!(render("{{ 'x' ~ value | lua }}", "harmless").is_err());
    }

    #[test]
    fn undefined_variables_are_refused() {
        assert!(render("{{ valeu | lua }}", "harmless").is_err());
        assert!(render("{% if value.inner %}{% endif %}{{ value.inner | lua }}", "x").is_err());
    }
}
