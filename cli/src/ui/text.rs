//! Laying out plain text: columns, counts and elapsed time.

use std::time::Duration;

/// Elapsed time as a person reads it: `0.4 s`, `41 s`, `1 min 12 s`.
pub fn elapsed(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        seconds @ 10..60 => format!("{seconds} s"),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

/// `1 resource`, `2 resources`.
pub fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// Rows as columns, two blanks apart; the last column is not padded. Colour codes take no width.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| console::measure_text_width(cell)).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&console::pad_str(cell, *width, console::Alignment::Left, None));
            line.push_str("  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Width of the column that names what a resource is.
pub(super) const TITLE: usize = 20;
// Of a terminal that nobody made wider.
const WIDTH: usize = 80;

/// What a resource is, its name, and as much of the `rest` as fits on a line of 80 columns; with `all`, all of it.
pub fn line(title: &str, name: &str, rest: &[&str], all: bool) -> String {
    let mut line = format!(" {title:TITLE$} {name}");
    for part in rest.iter().filter(|part| !part.is_empty()) {
        let longer = format!("{line}  {part}");
        if all || console::measure_text_width(&longer) <= WIDTH {
            line = longer;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_left_out_of_a_line() {
        let arn = "arn:aws:acm:eu-central-1:123456789012:certificate/5c3b2a19";
        let cut = line("certificate", "meet.example.org", &[arn, "imported"], false);
        assert_eq!(cut, " certificate          meet.example.org  imported");
        assert!(line("certificate", "meet.example.org", &[arn], true).ends_with(arn));
    }

    #[test]
    fn time_is_short() {
        assert_eq!(elapsed(Duration::from_millis(440)), "0.4 s");
        assert_eq!(elapsed(Duration::from_millis(59_900)), "59 s");
        assert_eq!(elapsed(Duration::from_secs(101)), "1 min 41 s");
    }

    #[test]
    fn one_is_no_plural() {
        let said = [0, 1, 2].map(|count| counted(count, "resource"));
        assert_eq!(said, ["0 resources", "1 resource", "2 resources"]);
    }

    #[test]
    fn columns_line_up_without_trailing_blanks() {
        let rows = [vec!["a".into(), "long".into()], vec!["bbb".into(), "x".into(), String::new()]];
        assert_eq!(table(&rows), "a    long\nbbb  x\n");
    }
}
