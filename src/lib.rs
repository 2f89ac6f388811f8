#![doc = include_str!("../ARCHITECTURE.md")]

pub mod api;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod db;
pub mod error;
pub mod files;
pub mod jobs;
pub mod logs;
pub mod store;
pub mod users;
