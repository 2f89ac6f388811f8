//! The tables, and the page of the documentation that they are written to.

use std::fs;
use std::path::{Path, PathBuf};

use crate::figures::{Figures, number};
use crate::peers::{GOALS, Goal, PEERS};
use crate::{DISK, Options, S3, refuse};

/// The columns, with their headings.
const SIDES: [(&str, &str); 4] =
    [(DISK, "Strongroom, disk"), ("nginx", "nginx"), (S3, "Strongroom, S3"), ("bucket", "the bucket itself")];

const BEGIN: &str = "<!-- BEGIN: written by scripts/bench --write docs -->";
const END: &str = "<!-- END: written by scripts/bench --write docs -->";

/// Everything between the markers.
pub fn markdown(machine: &str, options: &Options, figures: &Figures) -> String {
    let rounds = match (options.rounds, options.shrink) {
        (_, 2..) => "one round with an eighth of the work, whose figures are not comparable".to_owned(),
        (1, _) => "one round".to_owned(),
        (rounds, _) => format!("{rounds} rounds"),
    };
    let [targets, others, all] = [targets(figures, options.shrink == 1), others(figures), everything(figures)];
    format!(
        "*{machine}; {rounds}.*\n\n\
        ### Targets\n\n{targets}\n\
        ### Comparison\n\n{others}\n\
        ![CPU, memory and throughput of Strongroom and of others](pictures/performance.svg)\n\n\
        ### All figures\n\nThe median of all rounds, with minimum and maximum.\n\n{all}"
    )
}

fn table(headings: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut text = format!("| {} |\n|---|{}\n", headings.join(" | "), "--:|".repeat(headings.len() - 1));
    rows.for_each(|row| text += &format!("| {} |\n", row.join(" | ")));
    text
}

/// The cell of an optional value.
fn cell(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), number)
}

fn title(goal: &Goal) -> String {
    format!("{}, {}", goal.title, goal.unit)
}

fn targets(figures: &Figures, comparable: bool) -> String {
    let rows = GOALS.iter().filter(|goal| goal.target(DISK).is_some()).map(|goal| {
        let pair = |side| {
            let (value, target) = (figures.reported(goal.what, goal.name, side), goal.target(side));
            let missed = comparable && value.is_some_and(|value| target.is_some_and(|target| value > target));
            let value = if missed { format!("**{} missed**", cell(value)) } else { cell(value) };
            [value, target.map_or(String::new(), |target| format!("{target}"))]
        };
        [vec![title(goal)], pair(DISK).to_vec(), pair(S3).to_vec()].concat()
    });
    table(&["", "disk", "at most", "S3", "at most"], rows)
}

fn others(figures: &Figures) -> String {
    let here = [DISK, S3, "nginx"];
    let headings = [&["", "**Strongroom, disk**", "**Strongroom, S3**", "nginx here"][..], &PEERS].concat();
    let rows = GOALS.iter().filter(|goal| goal.peers[0].is_some()).map(|goal| {
        let ours = here.map(|side| cell(figures.reported(goal.what, goal.name, side)));
        [vec![title(goal)], ours.to_vec(), goal.peers.map(cell).to_vec()].concat()
    });
    table(&headings, rows)
}

fn everything(figures: &Figures) -> String {
    let sides: Vec<_> =
        SIDES.iter().filter(|(side, _)| figures.all().iter().any(|figure| figure.spread(side).is_some())).collect();
    let headings: Vec<&str> = ["", ""].into_iter().chain(sides.iter().map(|(_, heading)| *heading)).collect();
    let mut last = "";
    let rows = figures.all().iter().map(|figure| {
        let values = sides.iter().map(|(side, _)| match figure.spread(side) {
            Some(spread) if spread.min < spread.max => {
                format!("{} ({}–{})", number(spread.median), number(spread.min), number(spread.max))
            }
            spread => cell(spread.map(|spread| spread.median)),
        });
        let what = if last == figure.what { "" } else { figure.what };
        last = figure.what;
        [what.to_owned(), figure.name.to_owned()].into_iter().chain(values).collect()
    });
    // The names of the figures are text, and aligned to the left.
    table(&headings, rows).replacen("|---|--:|", "|---|---|", 1)
}

/// The directory of the documentation, if its page has the markers. Checked before the measurements, which take an
/// hour.
pub fn checked(docs: PathBuf) -> PathBuf {
    match fs::read_to_string(docs.join("performance.md")) {
        Ok(page) if between(&page).is_some() => docs,
        Ok(_) => refuse(&format!("{}/performance.md lacks the line {BEGIN} or {END}", docs.display())),
        Err(error) => refuse(&format!("{}/performance.md: {error}", docs.display())),
    }
}

/// The text before and after the tables, with the markers.
fn between(page: &str) -> Option<(&str, &str)> {
    let begin = page.find(BEGIN)? + BEGIN.len();
    let end = begin + page[begin..].find(END)?;
    Some((&page[..begin], &page[end..]))
}

/// Writes the tables and the chart.
pub fn write(docs: &Path, report: &str, chart: &str) {
    let (page, pictures) = (docs.join("performance.md"), docs.join("pictures"));
    let text = fs::read_to_string(&page).expect("the page");
    let (before, after) = between(&text).expect("the markers");
    fs::write(&page, format!("{before}\n\n{report}\n{after}")).expect("the page can be written");
    fs::create_dir_all(&pictures).expect("a folder for pictures");
    fs::write(pictures.join("performance.svg"), chart).expect("the chart can be written");
}
