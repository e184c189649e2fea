//! The beginning of a text that is too long for where it is shown.

/// At most `limit` characters of a line, cut after a word unless it is one long one.
pub(crate) fn excerpt(line: &str, limit: usize) -> String {
    let Some((end, _)) = line.char_indices().nth(limit) else { return line.to_owned() };
    let end = line[..end].rfind(' ').unwrap_or(end);
    format!("{}…", line[..end].trim_end())
}
