/*
 * What the system itself takes, as a peer: no runtime, no supervision, one process that starts others and waits for them.
 *
 *   peer spawn COUNT PROGRAM [ARG]...    each: posix_spawn, first byte, end of its input, waitpid
 *   peer burst COUNT PROGRAM [ARG]...    COUNT at once, until all have printed
 *   peer respawn COUNT PROGRAM [ARG]...  each: SIGKILL, waitpid, fork and exec again, first byte
 *
 * Prints one line of JSON: {"called":[...],"printed":[...],"died":[...]}, microseconds since the call or the kill.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <fcntl.h>
#include <unistd.h>

#define MOST 10000

extern char **environ;
static double called[MOST], printed[MOST], died[MOST];

struct child {
  pid_t pid;
  int in, out, err;
};

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void give_up(const char *what) {
  perror(what);
  exit(1);
}

static void pipes(int in[2], int out[2], int err[2]) {
  if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) give_up("pipe2");
}

static struct child keep(pid_t pid, int in[2], int out[2], int err[2]) {
  close(in[0]);
  close(out[1]);
  close(err[1]);
  return (struct child){pid, in[1], out[0], err[0]};
}

static struct child start_spawn(char **argv) {
  int in[2], out[2], err[2];
  pid_t pid;
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  pipes(in, out, err);
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  posix_spawn_file_actions_adddup2(&actions, err[1], 2);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  if (posix_spawn(&pid, argv[0], &actions, &attributes, argv, environ)) give_up("posix_spawn");
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return keep(pid, in, out, err);
}

static struct child start_fork(char **argv) {
  int in[2], out[2], err[2];
  pipes(in, out, err);
  pid_t pid = fork();
  if (pid < 0) give_up("fork");
  if (pid == 0) {
    setsid();
    dup2(in[0], 0);
    dup2(out[1], 1);
    dup2(err[1], 2);
    execv(argv[0], argv);
    _exit(127);
  }
  return keep(pid, in, out, err);
}

static void first_byte(struct child *child) {
  char byte;
  if (read(child->out, &byte, 1) != 1) give_up("read");
}

static void end(struct child *child) {
  close(child->in);
  waitpid(child->pid, NULL, 0);
  close(child->out);
  close(child->err);
}

static void list(const char *name, const double *values, int count, const char *before) {
  printf("%s\"%s\":[", before, name);
  for (int i = 0; i < count; i++) printf("%s%.1f", i ? "," : "", values[i]);
  printf("]");
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  int count = atoi(argv[2]), burst = !strcmp(argv[1], "burst"), respawn = !strcmp(argv[1], "respawn");
  char **program = argv + 3;
  static struct child children[MOST];
  if (count < 1 || count > MOST) return 2;
  if (respawn) {
    struct child child = start_fork(program);
    first_byte(&child);
    for (int i = 0; i < count; i++) {
      double began = now();
      kill(child.pid, SIGKILL);
      waitpid(child.pid, NULL, 0);
      died[i] = now() - began;
      close(child.in);
      close(child.out);
      close(child.err);
      child = start_fork(program);
      called[i] = now() - began;
      first_byte(&child);
      printed[i] = now() - began;
    }
    end(&child);
  } else if (burst) {
    double began = now();
    for (int i = 0; i < count; i++) {
      children[i] = start_spawn(program);
      called[i] = now() - began;
    }
    for (int i = 0; i < count; i++) {
      first_byte(&children[i]);
      printed[i] = now() - began;
    }
    for (int i = 0; i < count; i++) end(&children[i]);
  } else {
    for (int i = 0; i < count; i++) {
      double began = now();
      struct child child = start_spawn(program);
      called[i] = now() - began;
      first_byte(&child);
      printed[i] = now() - began;
      end(&child);
    }
  }
  list("called", called, count, "{");
  list("printed", printed, count, ",");
  list("died", died, respawn ? count : 0, ",");
  puts("}");
  return 0;
}
