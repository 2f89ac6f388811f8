//! The cost of a statement must not grow with the size of the database. The query plan of every statement is checked.

use serde_json::Value;
use sqlx::{AssertSqlSafe, Row};

use crate::support::{Database, Setup, TestApp};

/// Tables and indexes that stay small, and may be scanned.
const SMALL: [&str; 20] = [
    "_sqlx_migrations",
    // The databases of the server, not the rows of one.
    "pg_database",
    "job_leases",
    "job_runs",
    "change_log",
    // One row, which says what number was drawn last.
    "changes_seq_seq",
    // The latest twenty runs are kept.
    "fsck_runs",
    // A run adds at most 10,000.
    "orphans",
    // Indexes of blobs in progress or pending deletion, and of the few admins.
    "blobs_to_reap",
    "users_admins",
    // SQLite's names of the row of the view `clock`, and of rows that the statement contains or finds one by one.
    "CONSTANT",
    "clock",
    "VALUES",
    "down",
    "below",
    // A folder and those above it.
    "up",
    "part",
    // What is in the trash of one account, to be summed up.
    "trashed",
    // A page, before it is aggregated into one text.
    "(subquery-1)",
    "(subquery-2)",
];

/// Statements that may read or sort more than a page: a part of each, and the reason.
const EXCEPTIONS: [(&str, &str); 23] = [
    ("FROM up CROSS JOIN grants r", "the grants that reach one file, with the names of their holders"),
    ("UNION SELECT g.folder_id FROM team_members", "sorts the spaces that one account is a member of"),
    ("JOIN team_members m ON m.team_id = g.team_id", "sorts what the teams of one account were given"),
    ("LIMIT 1) AS account", "stops at the first account"),
    (
        "ORDER BY COALESCE(",
        "what is in a folder, or has a prefix, a tag or metadata, is sorted in an order without an index: the cost is \
         proportional to its number",
    ),
    ("FROM audit_events ORDER BY at DESC", "scans in order until the page is full"),
    ("FROM audit_events WHERE kind = $2 ORDER BY at DESC", "only admins filter all events by kind"),
    ("SELECT id FROM down", "sorts the folders on one way down, of which there are few"),
    ("WITH RECURSIVE below", "reads all folders below one"),
    (" AS part", "sorts the beginnings of a few folders, or finds files of a list one by one"),
    ("GROUP BY space_id HAVING COUNT", "counts the events since the last run of the reaper"),
    ("GROUP BY user_id HAVING COUNT", "counts the idempotency keys since the last run of the reaper"),
    ("FROM sessions WHERE user_id = $1 AND expires_at > $2", "the sessions of an account have a limit"),
    ("FROM api_tokens\n        WHERE user_id = $1", "the tokens of an account have a limit"),
    ("FROM upload_parts WHERE upload_id = $1", "an upload has 10,000 parts at most"),
    ("FROM link_downloads WHERE link_id = $1", "sorts the downloads of one link in progress"),
    ("UNION ALL SELECT tail_blob_id", "sorts two ids"),
    ("FROM erasures WHERE state = 'running' ORDER BY", "sorts the accounts that are being deleted"),
    ("FROM fsck_runs ORDER BY id DESC", "the latest twenty runs"),
    ("COALESCE(b.state, 'gone')", "fsck reads everything anyway"),
    ("UPDATE spaces SET updated_at = updated_at", "recalculates everything, on request"),
    ("SET used_bytes = counted.bytes", "recalculates everything, on request"),
    ("> (SELECT now FROM clock) + $1", "expires the leases of a killed server, at the start and on SQLite only"),
];

/// The steps of a plan that would take longer with more rows.
type Faults = Vec<String>;

fn check_sqlite(sql: &str, plan: &str) -> Faults {
    let is_small = |scanned: &str| scanned.split(' ').any(|word| SMALL.contains(&word));
    // Sorting only by the last terms of an order is fine: that sorts ties.
    let sorts = ["TEMP B-TREE FOR ORDER", "TEMP B-TREE FOR GROUP", "TEMP B-TREE FOR DISTINCT", "AUTOMATIC"];
    let is_fault = |step: &&str| {
        let scans = step.strip_prefix("SCAN ").is_some_and(|scanned| !is_small(scanned));
        scans || sorts.iter().any(|sort| step.contains(sort))
    };
    let faults = plan.split("; ").filter(is_fault).map(str::to_owned);
    faults.chain(misses_the_index(sql, plan, ["path=?", "location<?", " id<?", ")<(?"])).collect()
}

fn check_postgres(sql: &str, plan: &Value) -> Faults {
    let (mut faults, mut conditions) = (Faults::new(), String::new());
    check_node(plan, &mut faults, &mut conditions);
    faults.extend(misses_the_index(sql, &conditions, ["path =", "location <", "(id <", "ROW("]));
    faults
}

/// Checks a step of PostgreSQL and its children, and collects their index conditions.
fn check_node(node: &Value, faults: &mut Faults, conditions: &mut String) {
    let text = |name: &str| node[name].as_str().unwrap_or_default();
    let (kind, table, index) = (text("Node Type"), text("Relation Name"), text("Index Name"));
    let is_small = SMALL.contains(&table) || SMALL.contains(&index);
    *conditions += text("Index Cond");
    match kind {
        "Seq Scan" if !is_small => faults.push(format!("{kind} of {table}")),
        "Index Scan" | "Index Only Scan" | "Bitmap Index Scan" if !is_small && text("Index Cond").is_empty() => {
            faults.push(format!("{kind} of the whole of {index}"));
        }
        // An incremental sort only sorts ties.
        "Sort" | "Hash" => faults.push(kind.to_owned()),
        _ => {}
    }
    for child in node["Plans"].as_array().into_iter().flatten() {
        check_node(child, faults, conditions);
    }
}

/// The filter of a list, and the start of a page, must be part of the index condition. The last four arguments are the
/// notation of the plan, for either direction.
fn misses_the_index(sql: &str, conditions: &str, [path, location, id, row]: [&str; 4]) -> Option<String> {
    let conditions = conditions.replace('>', "<");
    let is_filtered = conditions.contains(path) || conditions.contains(location);
    if (sql.contains("f.path = $") || sql.contains("f.location >= $")) && !is_filtered {
        return Some("scans other folders".into());
    }
    let begins_at = |place: &str| ['<', '>'].iter().any(|beyond| sql.contains(&format!("{place} {beyond} ($")));
    let is_missing = (begins_at(", f.id)") || begins_at("(at, id)")) && !conditions.contains(row)
        || begins_at("(f.id)") && !conditions.contains(id)
        || begins_at("(a.file_id)") && !conditions.contains("file_id <") && !conditions.contains("file_id<?");
    // A sort reads everything.
    let is_sorted = sql.contains("ORDER BY COALESCE(");
    (is_missing && !is_sorted).then(|| "starts a page before its cursor".into())
}

/// A statement, its faults, its plan.
type Checked = (String, Faults, String);

/// Asserts that only the exceptions have faults, and records which exceptions were needed.
fn assert_bounded(plans: &[Checked], needed: &mut [bool]) {
    let mut bad = String::new();
    for (sql, faults, plan) in plans.iter().filter(|(_, faults, _)| !faults.is_empty()) {
        let exceptions: Vec<usize> =
            (0..EXCEPTIONS.len()).filter(|exception| sql.contains(EXCEPTIONS[*exception].0)).collect();
        exceptions.iter().for_each(|exception| needed[*exception] = true);
        if exceptions.is_empty() {
            bad += &format!("{sql}\n  {faults:?}\n  {plan}\n");
        }
    }
    assert!(bad.is_empty(), "the cost of these grows with the database:\n{bad}");
}

#[tokio::test]
async fn the_cost_of_no_statement_grows_with_the_database() {
    let mut needed = [false; EXCEPTIONS.len()];

    // SQLite has no statistics here, so its plans do not depend on the number of rows.
    let app = TestApp::start(Setup::SqliteAndDisk).await;
    let mut plans = Vec::new();
    for sql in app.app.db.statements() {
        let plan = app.plan(&sql).await;
        plans.push((sql.clone(), check_sqlite(&sql, &plan), plan));
    }
    assert_bounded(&plans, &mut needed);

    let app = TestApp::start(Setup::PostgresAndS3).await;
    let Database::Postgres(pool) = Database::of(&app.app.config).await else { unreachable!("it is PostgreSQL") };
    sqlx::raw_sql(include_str!("query_plans/rows.sql")).execute(&pool).await.expect("rows");
    let mut plans = Vec::new();
    for sql in app.app.db.statements() {
        // The generic plan, to which a prepared statement may switch.
        let explain = AssertSqlSafe(format!("EXPLAIN (GENERIC_PLAN, FORMAT JSON) {sql}"));
        let row = sqlx::raw_sql(explain).fetch_one(&pool).await.expect(&sql);
        let explained: Value = serde_json::from_str(row.try_get_raw(0).unwrap().as_str().unwrap()).unwrap();
        let plan = &explained[0]["Plan"];
        plans.push((sql.clone(), check_postgres(&sql, plan), plan.to_string()));
    }
    assert_bounded(&plans, &mut needed);

    let unused: Vec<_> = EXCEPTIONS.iter().zip(needed).filter(|(_, needed)| !needed).collect();
    assert!(unused.is_empty(), "no statement needs these exceptions: {unused:?}");
}

/// The deletion of a row searches the rows that refer to it.
#[tokio::test]
async fn every_foreign_key_has_an_index() {
    let app = TestApp::start(Setup::PostgresAndS3).await;
    let without = "SELECT COALESCE(string_agg(c.conrelid::regclass || '.' || c.conname, ', '), '') FROM pg_constraint c
        WHERE c.contype = 'f' AND NOT EXISTS (SELECT FROM pg_index i
            WHERE i.indrelid = c.conrelid AND i.indkey[0] = c.conkey[1]
                AND (i.indpred IS NULL OR pg_get_expr(i.indpred, i.indrelid) = '(tail_blob_id IS NOT NULL)'))";
    assert_eq!(app.text(without).await, "");
}
