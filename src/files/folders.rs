//! Lists the folders in a folder. A folder exists as long as there is a file in it, at whatever depth.

use std::collections::BTreeSet;

use super::FolderPath;
use crate::app::App;
use crate::error::Result;
use crate::users::User;

/// The most folders that are listed. Search finds the files in the others.
const MAX_FOLDERS: usize = 10_000;
/// Paths that one query reads.
const STEP: i64 = 200;
/// The character after the slash: paths from here on are not in the folder that ends before the slash.
const BEYOND_SLASH: char = '0';

/// The names of the folders directly in this one, in order; at most 10,000.
///
/// # Errors
/// [`Error::Unavailable`](crate::error::Error::Unavailable).
pub async fn folders(app: &App, user: &User, inside: &FolderPath) -> Result<Vec<String>> {
    let (base, end) = match inside.as_str() {
        "" => (String::new(), char::MAX.to_string()),
        path => (format!("{path}/"), format!("{path}{BEYOND_SLASH}")),
    };
    let mut names = BTreeSet::new();
    // At the top the empty path stands for the files there, which are in no folder: the first name comes after it.
    let mut from = if base.is_empty() { "\u{1}".to_owned() } else { base.clone() };
    loop {
        let paths = app.db.paths(user.id, &from, &end, STEP).await?;
        let whole = paths.len() < STEP as usize;
        let Some(last) = paths.last() else { break };
        from = deadline(&base, last);
        names.extend(paths.iter().map(|path| first_name(&path[base.len()..]).to_owned()));
        if whole || names.len() >= MAX_FOLDERS {
            break;
        }
    }
    Ok(names.into_iter().take(MAX_FOLDERS).collect())
}

fn first_name(path: &str) -> &str {
    path.split_once('/').map_or(path, |(name, _)| name)
}

/// The first path after this one that may be in another folder: the rest of a folder that was seen is skipped, however
/// large it is.
fn deadline(base: &str, last: &str) -> String {
    match last[base.len()..].split_once('/') {
        Some((name, _)) => format!("{base}{name}{BEYOND_SLASH}"),
        None => format!("{last}\u{1}"),
    }
}
