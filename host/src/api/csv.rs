//! CSV (RFC 4180) that a spreadsheet can't take for more than text.

use std::fmt::Write as _;

/// Its media type.
pub const TYPE: &str = "text/csv; charset=utf-8; header=present";

/// One line. A cell that a spreadsheet would take for a formula gets an apostrophe in front, which says that it is text.
pub fn line(cells: impl IntoIterator<Item = String>) -> String {
    let mut line = String::new();
    for cell in cells {
        if !line.is_empty() {
            line.push(',');
        }
        let is_formula =
            cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) && cell.parse::<f64>().is_err();
        let guard = if is_formula { "'" } else { "" };
        let _ = write!(line, "\"{guard}{}\"", cell.replace('"', "\"\""));
    }
    line.push_str("\r\n");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(cell: &str) -> String {
        line([cell.to_owned()]).trim_end().to_owned()
    }

    #[test]
    fn no_cell_is_a_formula_and_quotes_stay_inside() {
        for formula in ["=1+1", "+cmd|'/c calc'!A1", "-x.example", "@SUM(A1)", "\t=1", "\r=1", "-1-cmd"] {
            assert_eq!(one(formula), format!("\"'{formula}\"").trim_end(), "{formula:?}");
        }
        assert_eq!(one("a\"b,c"), "\"a\"\"b,c\"");
        assert_eq!(one("-0.5"), "\"-0.5\"", "a number is one");
        assert_eq!(line(["a".into(), "1".into(), String::new()]), "\"a\",\"1\",\"\"\r\n");
    }
}
