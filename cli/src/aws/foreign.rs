//! Words that are not ours, AWS's, a proxy's or a library's, made fit for one line on a terminal: bounded,
//! without control characters, and never a program's own view of its insides.

use aws_smithy_runtime_api::http::Response;

use crate::excerpt::excerpt;

/// The longest reason that is repeated, in characters; AWS's own are shorter, but for encoded ones.
pub(super) const MESSAGE: usize = 2_000;
/// The longest error code or request id.
pub(super) const WORD: usize = 128;
// Of a page in AWS's place, enough to recognise it by.
const GLIMPSE: usize = 80;

/// `text` on one line, of at most `limit` characters.
pub(super) fn plain(text: &str, limit: usize) -> String {
    // What a terminal would obey is none of a message; neither are marks that turn the reading direction.
    let unfit = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffd}')
    };
    let spaced: String = text.chars().map(|c| if unfit(c) { ' ' } else { c }).collect();
    let words: Vec<&str> = spaced.split_whitespace().collect();
    excerpt(&words.join(" "), limit)
}

/// An answer that is not AWS's, in words: its status, its kind, and the beginning.
pub(super) fn answer(raw: &Response) -> String {
    let status = raw.status();
    let kind = raw.headers().get("content-type").map(|kind| plain(kind, WORD));
    let body = raw.body().bytes().unwrap_or_default();
    let told = match (glimpse(body), kind.as_deref()) {
        (Some(text), Some(kind)) if kind.contains("html") => format!("a page, \"{text}\""),
        (Some(text), _) => format!("\"{text}\""),
        (None, Some(kind)) if !body.is_empty() => format!("{} bytes of {kind}", body.len()),
        (None, _) if body.is_empty() => "nothing".to_owned(),
        (None, _) => format!("{} bytes", body.len()),
    };
    format!("HTTP {status} with {told}: that is not an answer from AWS")
}

/// The title of a page, else the beginning of a text; `None` when it is neither.
fn glimpse(body: &[u8]) -> Option<String> {
    // The beginning of what may be many MiB; cut within a character it is still text.
    let begin = &body[..body.len().min(8_192)];
    let text = match std::str::from_utf8(begin) {
        Ok(text) => text,
        Err(error) if error.valid_up_to() + 4 > begin.len() && !begin.is_empty() => {
            std::str::from_utf8(&begin[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    // Binary data may well be UTF-8.
    if text.chars().any(|c| c.is_control() && !c.is_whitespace()) {
        return None;
    }
    let lower = text.to_ascii_lowercase();
    let title = lower.find("<title>").and_then(|at| {
        let begin = at + "<title>".len();
        let end = lower[begin..].find('<').map_or(text.len(), |end| begin + end);
        text.get(begin..end)
    });
    let shown = plain(title.unwrap_or(text), GLIMPSE);
    (!shown.is_empty()).then_some(shown)
}

// How libraries say what went wrong below HTTP, and the same in an operator's words.
const WORDS: [(&str, &str); 18] = [
    (
        "no credentials found in chain",
        "no credentials: neither in the environment nor in a profile, and no role of an instance or a container",
    ),
    (
        "the credential provider was not enabled",
        "it holds no credentials, or there is none of that name",
    ),
    ("length limit exceeded", "it is longer than any answer from AWS"),
    ("identity resolver timed out", "the credentials did not come in time"),
    (
        "tunnel error: proxy authorization required",
        "the proxy asks for a user and a password (HTTP 407)",
    ),
    (
        "tunnel error: proxy response headers too long",
        "the proxy answers with more than belongs to CONNECT",
    ),
    ("tunnel error: unexpected end of file", "the proxy hangs up instead of connecting to AWS"),
    ("tunnel error", "the proxy refuses to connect to AWS"),
    ("Connection refused", "nothing listens there (connection refused)"),
    ("timed out", "nothing answers there (no connection in time)"),
    ("Name or service not known", "its name is not in the DNS"),
    ("Temporary failure in name resolution", "no DNS server answers here"),
    ("InvalidContentType", "what listens there speaks no TLS"),
    ("invalid HTTP version parsed", "what listens there speaks no HTTP"),
    ("invalid HTTP status-code parsed", "what listens there speaks no HTTP"),
    (
        "connection closed before message completed",
        "the connection was closed before an answer came",
    ),
    ("end of file before message length reached", "the connection was closed in the middle of it"),
    ("UnexpectedEof", "the connection was closed in the middle of it"),
];

/// What a library says of a call that failed below HTTP, as a person says it.
pub(super) fn transport(text: &str) -> String {
    let known = WORDS.iter().find(|(theirs, _)| text.contains(theirs));
    known.map_or_else(|| plain(&without_number(text), MESSAGE), |(_, ours)| (*ours).to_owned())
}

/// `Connection refused (os error 111)` without the number.
fn without_number(text: &str) -> String {
    match text.split_once(" (os error ") {
        Some((before, after)) => {
            let rest = after.split_once(')').map_or("", |(_, rest)| rest);
            format!("{before}{rest}")
        }
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::body::SdkBody;

    use super::*;

    fn told(status: u16, kind: &'static str, body: impl Into<SdkBody>) -> String {
        let mut response = Response::new(status.try_into().unwrap(), body.into());
        response.headers_mut().insert("content-type", kind);
        answer(&response)
    }

    #[test]
    fn a_page_is_known_by_its_title() {
        let page = "<!DOCTYPE html><html><head><TITLE>\n Access\u{1b}[31m denied </TITLE></head>";
        // A page that colours the terminal shows nothing of itself.
        assert_eq!(
            told(200, "text/html", page),
            format!(
                "HTTP 200 with {} bytes of text/html: that is not an answer from AWS",
                page.len()
            )
        );
        let page = page.replace("\u{1b}[31m", "");
        assert_eq!(
            told(503, "text/html; charset=utf-8", page),
            "HTTP 503 with a page, \"Access denied\": that is not an answer from AWS"
        );
    }

    #[test]
    fn text_is_cut_and_binary_data_is_counted() {
        let long = "word ".repeat(10_000);
        let said = told(200, "text/plain", long);
        assert!(said.chars().count() < 200 && said.contains("word…"), "{said}");
        let gzip = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3].to_vec();
        assert_eq!(
            told(200, "text/xml", gzip),
            "HTTP 200 with 10 bytes of text/xml: that is not an answer from AWS"
        );
        assert_eq!(
            told(200, "text/xml", ""),
            "HTTP 200 with nothing: that is not an answer from AWS"
        );
    }

    #[test]
    fn a_reason_stays_on_its_line() {
        assert_eq!(plain("one\r\n\ttwo\u{1b}[2J three", 100), "one two [2J three");
        assert_eq!(plain("äöü", 2), "äö…");
    }

    #[test]
    fn what_libraries_say_is_said_as_people_do() {
        let refused = "nothing listens there (connection refused)";
        assert_eq!(transport("Connection refused (os error 111)"), refused);
        assert_eq!(transport("No route to host (os error 113)"), "No route to host");
        assert_eq!(transport("tunnel error: unsuccessful"), "the proxy refuses to connect to AWS");
        let tls = "received corrupt message of type InvalidContentType";
        assert_eq!(transport(tls), "what listens there speaks no TLS");
    }
}
