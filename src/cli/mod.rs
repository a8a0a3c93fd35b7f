//! The command line: one file for each noun, thin over the rooms.

mod approvals;
mod audit;
mod completion;
mod config;
mod demo;
mod keys;
mod out;
mod policy;
mod serve;
mod sign_in;

use std::process::ExitCode;

use clap::CommandFactory;
use clap::Parser;
use clap::Subcommand;

use crate::server::system_clock;

use sign_in::SignInCommand;

/// Holds AI agents' API calls until the right people approve exactly that call.
#[derive(Debug, Parser)]
#[command(name = "holdpoint", version, propagate_version = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Try it: everything in one process, with an example upstream and no configuration
    Demo(demo::DemoArgs),
    /// Run the proxy
    Serve(serve::ServeArgs),
    /// Check a configuration, or print its JSON Schema
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Make keys for agents
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Make tokens for reviewers
    #[command(subcommand)]
    Tokens(keys::TokensCommand),
    /// List, look at and decide on approvals
    Approvals(approvals::ApprovalsArgs),
    /// Sign in as a reviewer with your organisation's account
    Login(sign_in::SignInArgs),
    /// End the session that `login` began
    Logout(sign_in::SignInArgs),
    /// Say who you are to the server
    Whoami(sign_in::SignInArgs),
    /// Check and test policies
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Read and verify the audit log
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Print a completion script for a shell
    Completion(completion::CompletionArgs),
}

/// Runs what the arguments ask for.
///
/// # Errors
/// Whatever went wrong, with its causes.
pub fn run() -> anyhow::Result<ExitCode> {
    // redis, hyper and others look for the process's crypto provider and panic without one. A
    // second installation cannot happen here, and would do no harm.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match Cli::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Config(command) => config::run(&command),
        Command::Keys(command) => keys::run_keys(&command),
        Command::Tokens(command) => keys::run_tokens(&command),
        Command::Approvals(args) => {
            runtime()?.block_on(approvals::run(args, &mut approvals::Terminal::of_process(system_clock())))
        }
        Command::Login(args) => sign_in(SignInCommand::Login, args),
        Command::Logout(args) => sign_in(SignInCommand::Logout, args),
        Command::Whoami(args) => sign_in(SignInCommand::WhoAmI, args),
        Command::Policy(command) => policy::run(&command, &approvals::Terminal::of_process(system_clock())),
        Command::Audit(command) => audit::run(&command),
        Command::Completion(args) => completion::run(&args, &mut Cli::command()),
    }
}

fn sign_in(command: SignInCommand, args: sign_in::SignInArgs) -> anyhow::Result<ExitCode> {
    runtime()?.block_on(sign_in::run(command, args, &mut approvals::Terminal::of_process(system_clock())))
}

/// For commands that only talk to a server.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
