%% The same measurements as supervision.ts, on Erlang/OTP's supervisor. Prints one JSON object.
-module(supervision).
-behaviour(supervisor).
-export([main/0, init/1, start_worker/2, worker/2]).

main() ->
    logger:set_primary_config(level, none),
    process_flag(trap_exit, true),
    Results = [measure(Strategy, N) || Strategy <- [one_for_one, rest_for_one, one_for_all], N <- [10, 100, 1000, 10000]],
    io:format("{\"otp\":\"~s\",\"results\":[~s]}~n",
              [erlang:system_info(otp_release), lists:join(",", Results)]),
    halt(0).

init({Strategy, N, Bench}) ->
    Children = [#{id => I, start => {?MODULE, start_worker, [I, Bench]}, shutdown => 5000} || I <- lists:seq(0, N - 1)],
    {ok, {#{strategy => Strategy, intensity => 1000000, period => 1}, Children}}.

start_worker(Id, Bench) -> proc_lib:start_link(?MODULE, worker, [Id, Bench]).

worker(Id, Bench) ->
    proc_lib:init_ack({ok, self()}),
    Bench ! {started, Id, self()},
    receive stop -> ok; boom -> exit(boom) end.

measure(Strategy, N) ->
    Before = erlang:memory(total),
    {ok, Sup} = supervisor:start_link(?MODULE, {Strategy, N, self()}),
    Pids = collect(N, #{}),
    Bytes = (erlang:memory(total) - Before) / N,
    Cycles = cycles(Strategy, N),
    Warm = crash(Strategy, N, max(1, Cycles div 4), Pids),
    %% The restarts of the warm-up leave OTP's window, which is a list.
    timer:sleep(1100),
    T0 = erlang:monotonic_time(nanosecond),
    Last = crash(Strategy, N, Cycles, Warm),
    Crash = (erlang:monotonic_time(nanosecond) - T0) / Cycles / 1000,
    Again = min(Cycles, 200),
    T1 = erlang:monotonic_time(nanosecond),
    restart(Sup, N, Again),
    Restart = (erlang:monotonic_time(nanosecond) - T1) / Again / 1000,
    maps:foreach(fun(_, Pid) -> unlink(Pid) end, Last),
    unlink(Sup),
    exit(Sup, kill),
    flush(),
    io_lib:format("{\"strategy\":\"~s\",\"children\":~b,\"crashToRestartedMicros\":~.2f,\"restartChildMicros\":~.2f,\"bytesPerChild\":~b}",
                  [Strategy, N, Crash, Restart, round(Bytes)]).

cycles(one_for_one, N) -> max(20, 20000 div max(N, 60));
cycles(_, N) -> max(3, 3000 div N).

affected(one_for_one, _, _) -> 1;
affected(rest_for_one, N, Id) -> N - Id;
affected(one_for_all, N, _) -> N.

crash(_, _, 0, Pids) -> Pids;
crash(Strategy, N, Left, Pids) ->
    Id = (Left * 7919) rem N,
    maps:get(Id, Pids) ! boom,
    crash(Strategy, N, Left - 1, collect(affected(Strategy, N, Id), Pids)).

collect(0, Pids) -> Pids;
collect(Left, Pids) -> receive {started, Id, Pid} -> collect(Left - 1, Pids#{Id => Pid}) end.

restart(_, _, 0) -> ok;
restart(Sup, N, Left) ->
    Id = (Left * 7919) rem N,
    ok = supervisor:terminate_child(Sup, Id),
    {ok, _} = supervisor:restart_child(Sup, Id),
    receive {started, Id, _} -> ok end,
    restart(Sup, N, Left - 1).

flush() -> receive _ -> flush() after 0 -> ok end.
