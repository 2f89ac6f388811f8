//! What was measured: for every figure of a scenario, and every side, one value for each round.

use std::collections::BTreeMap;

#[derive(Default)]
pub struct Figures(Vec<Figure>);

pub struct Figure {
    /// The scenario.
    pub what: &'static str,
    pub name: &'static str,
    sides: BTreeMap<&'static str, Vec<f64>>,
}

/// The values of all rounds in short.
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

    /// What the figure is judged by: the median, but of memory the most, as it has to be there.
    pub fn judged(&self, side: &str) -> Option<f64> {
        let spread = self.spread(side)?;
        Some(if self.name.starts_with("peak") { spread.max } else { spread.median })
    }
}

impl Figures {
    /// Keeps a value, if there is one.
    pub fn note(&mut self, what: &'static str, name: &'static str, side: &'static str, value: impl Into<Option<f64>>) {
        let Some(value) = value.into() else { return };
        let place = self.0.iter().position(|figure| (figure.what, figure.name) == (what, name));
        let place = place.unwrap_or_else(|| {
            self.0.push(Figure { what, name, sides: BTreeMap::new() });
            self.0.len() - 1
        });
        self.0[place].sides.entry(side).or_default().push(value);
    }

    pub fn all(&self) -> &[Figure] {
        &self.0
    }

    pub fn judged(&self, what: &str, name: &str, side: &str) -> Option<f64> {
        self.0.iter().find(|figure| (figure.what, figure.name) == (what, name))?.judged(side)
    }

    /// Tells how far the run is.
    pub fn print(&self, what: &str) {
        println!("{what}");
        for figure in self.0.iter().filter(|figure| figure.what == what) {
            let told = figure.sides.keys().filter_map(|side| Some(format!("{side} {}", number(figure.judged(side)?))));
            println!("  {:34}{}", figure.name, told.collect::<Vec<_>>().join(", "));
        }
    }
}

/// Three digits or so, which is more than two runs agree in.
pub fn number(value: f64) -> String {
    let decimals = [100.0, 10.0, 0.1].iter().position(|least| value >= *least).unwrap_or(3);
    let text = format!("{value:.decimals$}");
    match text.len() {
        4.. if decimals == 0 => format!("{},{}", &text[..text.len() - 3], &text[text.len() - 3..]),
        _ => text,
    }
}
