//! The folders in a folder. A folder is there as long as a file is in it, or further down.

use std::collections::BTreeSet;

use super::FolderPath;
use crate::app::App;
use crate::error::Result;
use crate::users::User;

/// Most folders that one folder shows. Search finds what is in the others.
const MOST_FOLDERS: usize = 10_000;
/// Paths that are read at once.
const STEP: i64 = 200;
/// What follows the slash: from here on paths are no longer in the folder before it.
const BEYOND_SLASH: char = '0';

/// The names of the folders that are directly in this one, in order.
///
/// # Errors
/// What the database fails with.
pub async fn folders(app: &App, user: &User, inside: &FolderPath) -> Result<Vec<String>> {
    let (base, end) = match inside.as_str() {
        "" => (String::new(), char::MAX.to_string()),
        path => (format!("{path}/"), format!("{path}{BEYOND_SLASH}")),
    };
    let mut names = BTreeSet::new();
    // At the top the empty path is the files there, which are in no folder: the first name comes deadline it.
    let mut from = if base.is_empty() { "\u{1}".to_owned() } else { base.clone() };
    loop {
        let paths = app.db.paths(user.id, &from, &end, STEP).await?;
        let whole = paths.len() < STEP as usize;
        let Some(last) = paths.last() else { break };
        from = deadline(&base, last);
        names.extend(paths.iter().map(|path| first_name(&path[base.len()..]).to_owned()));
        if whole || names.len() >= MOST_FOLDERS {
            break;
        }
    }
    Ok(names.into_iter().take(MOST_FOLDERS).collect())
}

fn first_name(path: &str) -> &str {
    path.split_once('/').map_or(path, |(name, _)| name)
}

/// The least path behind this one that may be in a folder not seen yet: a folder that was entered is
/// left at once, however much is in it.
fn deadline(base: &str, last: &str) -> String {
    match last[base.len()..].split_once('/') {
        Some((name, _)) => format!("{base}{name}{BEYOND_SLASH}"),
        None => format!("{last}\u{1}"),
    }
}
