//! The folders in a folder. A folder exists as long as it contains a file, at any depth.

use std::collections::BTreeSet;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::FolderPath;
use crate::app::App;
use crate::cursor::{self, Page, PageBuilder};
use crate::error::{Error, Result};
use crate::users::User;

/// Paths that one query reads.
const STEP: usize = 200;
/// The character after the slash: paths from here on are not in the folder that ends before the slash.
const BEYOND_SLASH: char = '0';

/// Lists the names of the folders that are directly in this one, in order.
///
/// # Errors
/// [`Error::BadCursor`] if the cursor is not one of this list; [`Error::Invalid`] if the limit is out of range.
pub async fn folders(
    app: &App,
    user: &User,
    inside: &FolderPath,
    limit: Option<u32>,
    cursor: Option<&str>,
) -> Result<Page<String>> {
    let limit = cursor::page_size(limit, app.config.limits.page)?;
    let after = cursor.map(decode).transpose()?.unwrap_or_default();
    let (base, end) = match inside.as_str() {
        "" => (String::new(), char::MAX.to_string()),
        path => (format!("{path}/"), format!("{path}{BEYOND_SLASH}")),
    };
    // The files at the top have the empty path, and are in no folder.
    let mut from = format!("{base}{after}\u{1}");
    let mut names = BTreeSet::new();
    loop {
        let paths = app.db.paths(user.id, &from, &end, STEP).await?;
        let Some(last) = paths.last() else { break };
        from = beyond(&base, last);
        let found = paths.iter().map(|path| first_name(&path[base.len()..]));
        names.extend(found.filter(|name| **name > *after).map(str::to_owned));
        if paths.len() < STEP || is_complete(&names, limit, &last[base.len()..]) {
            break;
        }
    }
    let (mut names, mut page) = (names.into_iter(), PageBuilder::new(limit));
    while let Some(count) = page.wanted() {
        page.add(names.by_ref().take(count).collect(), String::len);
    }
    Ok(page.finish(|last| BASE64_URL_SAFE_NO_PAD.encode(last)))
}

fn decode(cursor: &str) -> Result<String> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok();
    let name = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).filter(|name| !name.contains(['/', '\0']));
    name.ok_or(Error::BadCursor)
}

/// Whether no path after `last` adds a name to the first `limit + 1`. Paths are not in the order of names: `s-t` comes
/// before `s/x`, but the name `s` before `s-t`.
fn is_complete(names: &BTreeSet<String>, limit: usize, last: &str) -> bool {
    let Some(name) = names.iter().nth(limit) else { return false };
    let prefix = name.char_indices().skip(1).find(|(_, character)| *character < '/').map(|(at, _)| &name[..at]);
    prefix.is_none_or(|prefix| last > format!("{prefix}{BEYOND_SLASH}").as_str())
}

fn first_name(path: &str) -> &str {
    path.split_once('/').map_or(path, |(name, _)| name)
}

/// The least path after this one that may be in another folder: the rest of a folder is skipped, however much is in it.
fn beyond(base: &str, last: &str) -> String {
    match last[base.len()..].split_once('/') {
        Some((name, _)) => format!("{base}{name}{BEYOND_SLASH}"),
        None => format!("{last}\u{1}"),
    }
}
