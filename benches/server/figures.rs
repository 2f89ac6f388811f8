//! The measurements: for every figure of a scenario and every side, one value per round.

use std::collections::BTreeMap;

#[derive(Default)]
pub struct Figures(Vec<Figure>);

pub struct Figure {
    /// The scenario.
    pub what: &'static str,
    pub name: &'static str,
    sides: BTreeMap<&'static str, Vec<f64>>,
}

/// The values of all rounds, summarized.
#[derive(Clone, Copy)]
pub struct Spread {
    pub min: f64,
    pub median: f64,
    pub max: f64,
}

impl Figure {
    pub fn spread(&self, side: &str) -> Option<Spread> {
        let mut sorted = self.sides.get(side)?.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        Some(Spread { min: sorted[0], median: sorted[sorted.len() / 2], max: sorted[sorted.len() - 1] })
    }

    /// The value that is reported and compared with the target: the median, and for memory the maximum.
    pub fn reported(&self, side: &str) -> Option<f64> {
        let spread = self.spread(side)?;
        Some(if self.name.starts_with("peak") { spread.max } else { spread.median })
    }
}

impl Figures {
    /// Records a value, if there is one.
    pub fn record(
        &mut self,
        what: &'static str,
        name: &'static str,
        side: &'static str,
        value: impl Into<Option<f64>>,
    ) {
        let Some(value) = value.into() else { return };
        let index = self.0.iter().position(|figure| (figure.what, figure.name) == (what, name));
        let index = index.unwrap_or_else(|| {
            self.0.push(Figure { what, name, sides: BTreeMap::new() });
            self.0.len() - 1
        });
        self.0[index].sides.entry(side).or_default().push(value);
    }

    pub fn all(&self) -> &[Figure] {
        &self.0
    }

    pub fn reported(&self, what: &str, name: &str, side: &str) -> Option<f64> {
        self.0.iter().find(|figure| (figure.what, figure.name) == (what, name))?.reported(side)
    }

    /// Prints the figures of a scenario as progress.
    pub fn print(&self, what: &str) {
        println!("{what}");
        for figure in self.0.iter().filter(|figure| figure.what == what) {
            let values =
                figure.sides.keys().filter_map(|side| Some(format!("{side} {}", number(figure.reported(side)?))));
            println!("  {:34}{}", figure.name, values.collect::<Vec<_>>().join(", "));
        }
    }
}

/// About three significant digits, which is more than is reproducible between runs.
pub fn number(value: f64) -> String {
    let decimals = [100.0, 10.0, 0.1].iter().position(|least| value >= *least).unwrap_or(3);
    let text = format!("{value:.decimals$}");
    match text.len() {
        4.. if decimals == 0 => format!("{},{}", &text[..text.len() - 3], &text[text.len() - 3..]),
        _ => text,
    }
}
