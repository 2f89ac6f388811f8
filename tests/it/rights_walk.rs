//! A random walk over folders, files and grants: what every user may do on every way in is compared with a model in
//! memory after each change.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::client::{Ask, Client};
use crate::support::{Setup, TestApp, both};

/// Changes of a run, each followed by [`PROBES`] comparisons. `RIGHTS_WALK_STEPS` is for longer runs.
const STEPS: usize = 60;
const PROBES: usize = 6;

const ROLES: &[(&str, &[&str])] = &[
    ("viewer", &["list", "read"]),
    ("previewer", &["list"]),
    ("uploader", &["create"]),
    ("editor", &["list", "read", "create", "update", "delete"]),
    ("manager", &["list", "read", "create", "update", "delete", "share"]),
];

/// Numbers that depend on a seed only (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
}

#[derive(Debug, Clone)]
struct Node {
    parent: String,
    name: String,
    is_file: bool,
    trashed: bool,
}

#[derive(Debug, Clone)]
struct Given {
    target: String,
    user: usize,
    role: &'static str,
}

/// What should be true.
struct Model {
    top: String,
    nodes: BTreeMap<String, Node>,
    grants: BTreeMap<String, Given>,
}

impl Model {
    /// The node and all above it, up to the top folder.
    fn way_up(&self, id: &str) -> Vec<String> {
        let mut way = vec![id.to_owned()];
        while let Some(node) = self.nodes.get(way.last().unwrap()) {
            way.push(node.parent.clone());
        }
        way
    }

    fn is_there(&self, id: &str) -> bool {
        self.way_up(id).iter().all(|id| self.nodes.get(id).is_none_or(|node| !node.trashed))
    }

    fn may(&self, user: usize, right: &str, id: &str) -> bool {
        let way = self.way_up(id);
        self.grants.values().any(|given| {
            let rights = ROLES.iter().find(|(role, _)| *role == given.role).unwrap().1;
            given.user == user && way.contains(&given.target) && rights.contains(&right)
        })
    }

    /// The status of a request that needs a right to something.
    fn expected(&self, user: usize, right: &str, id: &str, success: u16) -> u16 {
        let is_file = self.nodes.get(id).is_some_and(|node| node.is_file);
        let sees = self.may(user, "list", id) || (!is_file && self.may(user, "create", id));
        match (self.is_there(id) && sees, self.may(user, right, id)) {
            (false, _) => 404,
            (true, true) => success,
            (true, false) => 403,
        }
    }

    /// The topmost folder on the way to this one that the user sees.
    fn root(&self, user: usize, folder: &str) -> Option<String> {
        self.way_up(folder).into_iter().rev().find(|id| self.may(user, "list", id))
    }

    /// The names of the files below a folder, in the trash or not.
    fn files_below(&self, folder: &str) -> Vec<String> {
        let below =
            |id: &String| self.nodes[id].is_file && self.is_there(id) && self.way_up(id).iter().any(|up| up == folder);
        self.nodes.keys().filter(|id| below(id)).map(|id| self.nodes[id].name.clone()).collect()
    }

    fn some(&self, dice: &mut Dice, wanted: impl Fn(&String, &Node) -> bool) -> Option<String> {
        let found: Vec<_> = self.nodes.iter().filter(|(id, node)| wanted(id, node)).map(|(id, _)| id.clone()).collect();
        if found.is_empty() { None } else { Some(found[dice.below(found.len())].clone()) }
    }

    fn folder(&self, dice: &mut Dice) -> String {
        let folder = self.some(dice, |id, node| !node.is_file && self.is_there(id));
        folder.filter(|_| dice.below(5) > 0).unwrap_or_else(|| self.top.clone())
    }
}

fn id_of(value: &Value) -> String {
    value["id"].as_str().unwrap().to_owned()
}

fn url(model: &Model, id: &str) -> String {
    let kind = if model.nodes.get(id).is_some_and(|node| node.is_file) { "files" } else { "folders" };
    format!("/v1/{kind}/{id}")
}

/// One change by the owner, in the product and in the model.
async fn change(dice: &mut Dice, model: &mut Model, owner: &Client, guests: &[Client], step: usize) {
    match dice.below(9) {
        0 | 1 => {
            let (parent, name) = (model.folder(dice), format!("folder{step}"));
            let answer = owner.post("/v1/folders").json(&json!({"parent_id": parent, "path": name})).answer().await;
            if answer.status == 201 {
                model.nodes.insert(id_of(&answer.json()), Node { parent, name, is_file: false, trashed: false });
            }
        }
        2 | 3 => {
            let (parent, name) = (model.folder(dice), format!("file{step}.txt"));
            let folder = owner.get(&format!("/v1/folders/{parent}")).answer().await.json();
            let query = [("path", folder["path"].as_str().unwrap()), ("name", &name)];
            let answer = owner.post("/v1/files").query(&query).body("x").answer().await;
            assert_eq!(answer.status, 201, "{}", answer.text());
            model.nodes.insert(id_of(&answer.json()), Node { parent, name, is_file: true, trashed: false });
        }
        4 => {
            let (moved, to) = (model.some(dice, |id, node| !node.is_file && model.is_there(id)), model.folder(dice));
            let Some(moved) = moved.filter(|moved| !model.way_up(&to).contains(moved)) else { return };
            let answer = owner.patch(&format!("/v1/folders/{moved}")).json(&json!({"parent_id": to})).answer().await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            model.nodes.get_mut(&moved).unwrap().parent = to;
        }
        5 => {
            let Some(id) = model.some(dice, |id, _| model.is_there(id)) else { return };
            assert_eq!(owner.delete(&url(model, &id)).answer().await.status, 204);
            model.nodes.get_mut(&id).unwrap().trashed = true;
        }
        6 => {
            let Some(id) = model.some(dice, |_, node| node.trashed && model.is_there(&node.parent)) else { return };
            let kind = if model.nodes[&id].is_file { "trash" } else { "trashed-folders" };
            assert_eq!(owner.post(&format!("/v1/{kind}/{id}/restore")).answer().await.status, 200);
            model.nodes.get_mut(&id).unwrap().trashed = false;
        }
        7 if !model.grants.is_empty() => {
            let grant = model.grants.keys().nth(dice.below(model.grants.len())).unwrap().clone();
            let role = ROLES[dice.below(ROLES.len())].0;
            let ends = dice.below(2) == 0;
            let request = if ends {
                owner.delete(&format!("/v1/grants/{grant}"))
            } else {
                owner.patch(&format!("/v1/grants/{grant}")).json(&json!({"role": role}))
            };
            let there = model.is_there(&model.grants[&grant].target);
            let answer = request.answer().await;
            // The grants of what is in the trash come back with it.
            assert_eq!(
                answer.status,
                if !there {
                    404
                } else if ends {
                    204
                } else {
                    200
                },
                "{}",
                answer.text()
            );
            if there && ends {
                model.grants.remove(&grant);
            } else if there {
                model.grants.get_mut(&grant).unwrap().role = role;
            }
        }
        _ => {
            let Some(target) = model.some(dice, |id, _| model.is_there(id)) else { return };
            let (user, role) = (dice.below(guests.len()), ROLES[dice.below(ROLES.len())].0);
            let member = if model.nodes[&target].is_file { "file_id" } else { "folder_id" };
            let wanted = json!({member: target, "user_id": guests[user].id, "role": role});
            let answer = owner.post("/v1/grants").json(&wanted).answer().await;
            if answer.status == 201 {
                model.grants.insert(id_of(&answer.json()), Given { target, user, role });
            } else {
                answer.problem(409, "already_shared");
            }
        }
    }
}

/// Compares one way in of one user with the model.
async fn probe(dice: &mut Dice, model: &Model, guests: &[Client]) {
    let user = dice.below(guests.len());
    let guest = &guests[user];
    let Some(id) = model.some(dice, |_, _| true) else { return };
    let node = &model.nodes[&id];
    let (status, expected, what) = match (node.is_file, dice.below(5)) {
        (_, 0) => (guest.get(&url(model, &id)).answer().await.status, model.expected(user, "list", &id, 200), "get"),
        (true, 1 | 2) => {
            let answer = guest.get(&format!("/v1/files/{id}/content")).answer().await;
            (answer.status, model.expected(user, "read", &id, 200), "content")
        }
        (true, 3) => {
            let answer = guest.patch(&url(model, &id)).json(&json!({"metadata": {}})).answer().await;
            (answer.status, model.expected(user, "update", &id, 200), "update")
        }
        (true, _) => {
            let answer =
                guest.post(&format!("/v1/files/{id}/signed-urls")).json(&json!({"operation": "get"})).answer().await;
            (answer.status, model.expected(user, "share", &id, 201), "sign")
        }
        (false, 1 | 2) => {
            let answer = guest.get("/v1/files").query(&[("root", &*id), ("limit", "1000")]).answer().await;
            if answer.status == 200 {
                let root = model.root(user, &id).unwrap();
                let mut listed: Vec<_> = answer.json()["items"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|file| file["name"].as_str().unwrap().to_owned())
                    .collect();
                let mut files = model.files_below(&root);
                listed.sort();
                files.sort();
                assert_eq!(listed, files, "user {user} lists {id} from {root}");
            }
            (answer.status, model.expected(user, "list", &id, 200), "list")
        }
        (false, 3) => {
            let answer = guest.get("/v1/files").query(&[("root", &*id), ("q", &*node.name)]).answer().await;
            (answer.status, model.expected(user, "list", &id, 200), "search")
        }
        (false, _) => {
            let answer = guest.patch(&url(model, &id)).json(&json!({})).answer().await;
            (answer.status, model.expected(user, "update", &id, 200), "rename")
        }
    };
    assert_eq!(status, expected, "{what} {id} by {user}: {node:?} {:?}", model.grants);
}

both! {
    async fn every_way_in_agrees_with_a_model(app: TestApp) {
        let steps = std::env::var("RIGHTS_WALK_STEPS").ok().and_then(|steps| steps.parse().ok()).unwrap_or(STEPS);
        let seed = std::env::var("RIGHTS_WALK_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
        println!("seed {seed}");
        let mut dice = Dice(seed);
        let owner = app.sign_up("owner").await;
        let guests = [app.sign_up("ann").await, app.sign_up("bob").await, app.sign_up("carol").await];
        let mut model = Model { top: owner.id.clone(), nodes: BTreeMap::new(), grants: BTreeMap::new() };
        for step in 0..steps {
            change(&mut dice, &mut model, &owner, &guests, step).await;
            for _ in 0..PROBES {
                probe(&mut dice, &model, &guests).await;
            }
        }
        println!("{steps} steps, {} comparisons, 0 differences", steps * PROBES);
        app.assert_usage_is_exact().await;
    }
}
