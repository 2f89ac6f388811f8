//! The chart: groups of horizontal bars, each with its own scale, written as SVG without a library.

use crate::figures::{Figures, number};
use crate::peers::{GOALS, PEERS};
use crate::{DISK, S3};

const WIDTH: usize = 880;
const MARGIN: usize = 20;
const COLUMN: usize = (WIDTH - 3 * MARGIN) / 2;
const LABELS: usize = 150;
const VALUES: usize = 60;
const BAR: usize = 18;
const HEADING: usize = 26;

/// The chart has its own background, so that it is readable on any page, and follows the reader's color scheme.
const STYLE: &str = "
svg { font-family: system-ui, sans-serif; font-size: 12px }
.ground { fill: #ffffff } text { fill: #24292f } .quiet { fill: #57606a } .title { font-weight: 600; font-size: 13px }
.head { font-weight: 600; font-size: 15px }
.ours { fill: #1f6feb } .baseline { fill: #2da44e } .peer { fill: #afb8c1 }
@media (prefers-color-scheme: dark) {
  .ground { fill: #0d1117 } text { fill: #e6edf3 } .quiet { fill: #9198a1 }
  .ours { fill: #4493f8 } .baseline { fill: #3fb950 } .peer { fill: #57606a }
}";

struct Panel {
    title: &'static str,
    unit: &'static str,
    bars: Vec<Bar>,
}

struct Bar {
    label: &'static str,
    value: f64,
    /// Its class in the style.
    kind: &'static str,
}

impl Panel {
    fn height(&self) -> usize {
        HEADING + self.bars.len() * BAR + MARGIN
    }

    fn svg(&self, left: usize, top: usize) -> String {
        let most = self.bars.iter().map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
        let mut svg = format!(
            "<text x=\"{left}\" y=\"{}\" class=\"title\">{} <tspan class=\"quiet\" font-weight=\"400\">{}</tspan></text>\n",
            top + 14,
            self.title,
            self.unit
        );
        for (row, Bar { label, value, kind }) in self.bars.iter().enumerate() {
            let (y, x) = (top + HEADING + row * BAR, left + LABELS);
            // Even the smallest value is visible.
            let length = (value / most * (COLUMN - LABELS - VALUES) as f64).max(1.0);
            let (baseline, value_x) = (y + 11, x as f64 + length + 6.0);
            svg += &format!(
                "<text x=\"{}\" y=\"{baseline}\" text-anchor=\"end\">{label}</text>\
                <rect x=\"{x}\" y=\"{y}\" width=\"{length:.1}\" height=\"{}\" rx=\"2\" class=\"{kind}\"/>\
                <text x=\"{value_x:.1}\" y=\"{baseline}\" class=\"quiet\">{}</text>\n",
                x - 8,
                BAR - 4,
                number(*value),
            );
        }
        svg
    }
}

/// CPU and memory, with the baseline of the same run and with other products.
fn costs(figures: &Figures) -> Vec<Panel> {
    let panel = |goal: &crate::peers::Goal| {
        let ours = [(DISK, "Strongroom, disk", "ours"), (S3, "Strongroom, S3", "ours"), ("nginx", "nginx", "baseline")];
        let ours = ours.into_iter().filter_map(|(side, label, kind)| {
            Some(Bar { label, value: figures.reported(goal.what, goal.name, side)?, kind })
        });
        // nginx is shown as measured in this run, not as with the other products.
        let peers = PEERS.into_iter().zip(goal.peers).filter(|(label, _)| !label.starts_with("nginx"));
        let peers = peers.filter_map(|(label, value)| Some(Bar { label: short(label), value: value?, kind: "peer" }));
        Panel { title: goal.title, unit: goal.unit, bars: ours.chain(peers).collect() }
    };
    // Ratios cannot be compared with other products.
    GOALS.iter().filter(|goal| goal.peers[0].is_some() || goal.unit == "peak MiB").map(panel).collect()
}

fn short(label: &'static str) -> &'static str {
    if label.contains("NestJS") { "tutorial (NestJS)" } else { label }
}

/// Throughput, with the baseline.
fn speeds(figures: &Figures) -> Vec<Panel> {
    let panels = [
        ("upload of 256 MiB", "MB/s"),
        ("download of 256 MiB", "MB/s"),
        ("32 uploads of 64 MiB at once", "MB/s"),
        ("16 downloads of 64 MiB at once", "MB/s"),
        ("500 uploads of 4 KiB, 16 at once", "requests/s"),
        ("500 downloads of 4 KiB, 16 at once", "requests/s"),
    ];
    let sides = [
        (DISK, "Strongroom, disk", "ours"),
        ("nginx", "nginx", "baseline"),
        (S3, "Strongroom, S3", "ours"),
        ("bucket", "the bucket itself", "baseline"),
    ];
    let panel = |(title, unit): (&'static str, &'static str)| {
        let bars = sides
            .into_iter()
            .filter_map(|(side, label, kind)| Some(Bar { label, value: figures.reported(title, unit, side)?, kind }));
        Panel { title, unit, bars: bars.collect() }
    };
    panels.into_iter().map(panel).collect()
}

pub fn svg(figures: &Figures) -> String {
    let note = "Blue: Strongroom. Green: nginx, and the bucket without a server in between, in the same run. \
        Grey: other products, on another day.";
    let mut body = format!("<text x=\"{MARGIN}\" y=\"{}\" class=\"quiet\">{note}</text>\n", MARGIN + 12);
    let mut top = 2 * MARGIN + 12;
    let sections =
        [("CPU of the server and memory: less is better", costs(figures)), ("Speed: more is better", speeds(figures))];
    for (head, panels) in sections {
        let panels: Vec<Panel> = panels.into_iter().filter(|panel| !panel.bars.is_empty()).collect();
        if panels.is_empty() {
            continue;
        }
        body += &format!("<text x=\"{MARGIN}\" y=\"{}\" class=\"head\">{head}</text>\n", top + 14);
        top += HEADING + 8;
        for row in panels.chunks(2) {
            for (column, panel) in row.iter().enumerate() {
                body += &panel.svg(MARGIN + column * (COLUMN + MARGIN), top);
            }
            top += row.iter().map(Panel::height).max().unwrap_or_default();
        }
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {top}\" role=\"img\">\n\
        <title>Performance of Strongroom and of other products</title>\n<style>{STYLE}\n</style>\n\
        <rect width=\"{WIDTH}\" height=\"{top}\" rx=\"6\" class=\"ground\"/>\n{body}</svg>\n"
    )
}
