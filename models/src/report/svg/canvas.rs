//! What the pictures are drawn with: a canvas of text, and the frame that shares are put into.

use std::fmt::Write as _;

/// Dashes of the series; the colours are in [`STYLE`].
const DASHES: [&str; 6] = ["", "7 3", "2 3", "9 3 2 3", "3 5", "12 4"];

/// Colours by class, of light pages first. No selector with `>`: it would have to be escaped.
const STYLE: &str = "\
text{font-family:system-ui,sans-serif;font-size:13px;fill:#1c2126}\
.title{font-size:16px;font-weight:600}.small{font-size:11px}.note{font-size:11px;fill:#59636e}\
.back{fill:#fff}.band{fill:#eef1f4}.grid{stroke:#d5dade}.axis{stroke:#59636e}.rule{stroke:#59636e;stroke-dasharray:4 4}\
.whisker{stroke:#1c2126;stroke-width:1.5;fill:none}.curve{fill:none;stroke-width:2}.s0{stroke:#0b5cad}.curve.s0{stroke-width:3.5}\
.s1{stroke:#b04a12}.s2{stroke:#1a7340}.s3{stroke:#86389a}.s4{stroke:#5c6670}.s5{stroke:#8a6d00}\
.dot{fill:#0b5cad}.b0{fill:#0b5cad}.b1{fill:#5a9bd8}.b2{fill:#aacbea}\
@media (prefers-color-scheme: dark){text{fill:#e8ecf0}.note{fill:#a5afb9}.back{fill:#14181c}.band{fill:#20262c}\
.grid{stroke:#363e46}.axis,.rule{stroke:#a5afb9}.whisker{stroke:#e8ecf0}.s0{stroke:#6db3ff}.s1{stroke:#f2a368}.s2{stroke:#63ca8c}\
.s3{stroke:#d79be8}.s4{stroke:#b6c0ca}.s5{stroke:#e0c35a}.dot{fill:#6db3ff}.b0{fill:#6db3ff}.b1{fill:#3d78b4}.b2{fill:#28496c}}";

/// Where shares from 0 to 1 lie, in pixels.
pub(super) struct Frame {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
}

impl Frame {
    pub fn x(&self, share: f64) -> f64 {
        self.left + share * (self.right - self.left)
    }

    pub fn y(&self, share: f64) -> f64 {
        self.bottom - share * (self.bottom - self.top)
    }
}

/// An SVG that is being written.
pub(super) struct Canvas {
    text: String,
}

impl Canvas {
    pub fn new(width: u32, height: u32, title: &str, desc: &str) -> Self {
        let (title, desc) = (escaped(title), escaped(desc));
        let text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\" aria-labelledby=\"title desc\">\n\
             <title id=\"title\">{title}</title>\n<desc id=\"desc\">{desc}</desc>\n<style>{STYLE}</style>\n\
             <rect class=\"back\" width=\"{width}\" height=\"{height}\" rx=\"8\"/>\n\
             <text class=\"title\" x=\"20\" y=\"30\">{title}</text>\n"
        );
        Self { text }
    }

    pub fn finish(mut self) -> String {
        self.text.push_str("</svg>\n");
        self.text
    }

    /// Lines at each fifth, from 0 to 100 %.
    pub fn shares_y(&mut self, frame: &Frame) {
        for step in 0..=5 {
            let y = frame.y(f64::from(step) / 5.0);
            self.line("grid", (frame.left, y), (frame.right, y));
            self.words("", "end", frame.left - 8.0, y + 4.5, &format!("{} %", 20 * step));
        }
    }

    pub fn tick_x(&mut self, frame: &Frame, x: f64, label: &str) {
        self.line("grid", (x, frame.top), (x, frame.bottom));
        self.words("", "middle", x, frame.bottom + 18.0, label);
    }

    /// A name under the axis, with a note under it.
    pub fn name_x(&mut self, frame: &Frame, x: f64, label: &str, note: &str) {
        self.words("", "middle", x, frame.bottom + 19.0, label);
        self.words("note", "middle", x, frame.bottom + 36.0, note);
    }

    pub fn axes(&mut self, frame: &Frame, x: &str, y: &str) {
        self.line("axis", (frame.left, frame.bottom), (frame.right, frame.bottom));
        self.line("axis", (frame.left, frame.top), (frame.left, frame.bottom));
        if !x.is_empty() {
            self.words("", "middle", (frame.left + frame.right) / 2.0, frame.bottom + 42.0, x);
        }
        let middle = (frame.top + frame.bottom) / 2.0;
        let _ = writeln!(
            self.text,
            "<text text-anchor=\"middle\" transform=\"translate(22 {middle:.1}) rotate(-90)\">{}</text>",
            escaped(y)
        );
    }

    /// A shaded part of the frame from one x to another, with a note for who points at it.
    pub fn band(&mut self, frame: &Frame, from: f64, to: f64, note: &str) {
        let _ = writeln!(
            self.text,
            "<rect class=\"band\" x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"><title>{}</title></rect>",
            frame.top,
            to - from,
            frame.bottom - frame.top,
            escaped(note)
        );
    }

    pub fn rule(&mut self, from: (f64, f64), to: (f64, f64)) {
        self.line("rule", from, to);
    }

    pub fn curve(&mut self, series: usize, points: &[(f64, f64)]) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            self.text,
            "<polyline class=\"curve s{}\" stroke-dasharray=\"{}\" points=\"{}\"/>",
            series % DASHES.len(),
            DASHES[series % DASHES.len()],
            points.join(" ")
        );
    }

    /// A line of the legend.
    pub fn key(&mut self, series: usize, x: f64, y: f64, words: &str) {
        let series = series % DASHES.len();
        let _ = writeln!(
            self.text,
            "<path class=\"curve s{series}\" stroke-dasharray=\"{}\" d=\"M{x:.1} {y:.1}h34\"/>",
            DASHES[series]
        );
        self.words("", "start", x + 42.0, y + 4.5, words);
    }

    pub fn bar(&mut self, shade: usize, (left, right): (f64, f64), top: f64, bottom: f64) {
        let _ = writeln!(
            self.text,
            "<rect class=\"b{shade}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
            right - left,
            bottom - top
        );
    }

    /// A square of a bar's shade with words.
    pub fn swatch(&mut self, shade: usize, x: f64, y: f64, words: &str) {
        self.bar(shade, (x, x + 13.0), y - 6.0, y + 7.0);
        self.words("", "start", x + 20.0, y + 5.0, words);
    }

    pub fn whisker(&mut self, x: f64, low: f64, high: f64) {
        let left = x - 4.0;
        let _ = writeln!(
            self.text,
            "<path class=\"whisker\" d=\"M{left:.1} {low:.1}h8M{x:.1} {low:.1}V{high:.1}M{left:.1} {high:.1}h8\"/>"
        );
    }

    pub fn dot(&mut self, x: f64, y: f64, radius: f64) {
        let _ = writeln!(self.text, "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\"/>");
    }

    pub fn small(&mut self, x: f64, y: f64, words: &str) {
        self.words("small", "middle", x, y, words);
    }

    fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let _ = writeln!(
            self.text,
            "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
            from.0, from.1, to.0, to.1
        );
    }

    fn words(&mut self, class: &str, anchor: &str, x: f64, y: f64, words: &str) {
        let _ = writeln!(
            self.text,
            "<text class=\"{class}\" text-anchor=\"{anchor}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>",
            escaped(words)
        );
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
