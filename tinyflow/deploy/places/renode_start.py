# SPDX-License-Identifier: Apache-2.0
# Runs inside Renode, in its own Python (IronPython 2.7): builds the machine and ties its console to stdin and stdout.
#
# renode.py beside it starts Renode with this script, which says on stdout first Renode's version, then "machine" when
# it stands; all after that is the firmware's. What goes wrong is said on stderr, and Renode ends. Renode also ends with
# its input (so with the process that started it), and when the firmware owes an answer for too long in virtual time.
import clr
import System
from Antmicro.Renode.UserInterface import CommandInteractionEater

ANSWERS = ('{"ok"', '{"error"', '{"event":"ready"', '{"event":"fault"')
DWT = 0xE0001000

for assembly in ("System.Console", "System.Diagnostics.Process"):
    try:
        clr.AddReference(assembly)  # apart in .NET; Mono has them in System
    except Exception:
        pass

setting = lambda name: System.Environment.GetEnvironmentVariable("TINYFLOW_" + name)  # noqa: E731
output = System.Console.OpenStandardOutput()
stopping = System.Object()


def say(text):
    for character in text + "\n":
        output.WriteByte(ord(character))
    output.Flush()


def stop(reason):
    """Ends the process at once: Renode's own way out waits for a core that may never pause."""
    System.Threading.Monitor.Enter(stopping)  # the first reason is the one
    System.Console.Error.WriteLine(reason)
    System.Console.Error.Flush()
    System.Diagnostics.Process.GetCurrentProcess().Kill()


def command(text):
    heard = CommandInteractionEater()
    done = monitor.Parse(text, heard)  # noqa: F821
    if not done or heard.HasError:
        raise Exception((heard.GetError() or heard.GetContents()).strip() or text + " failed")


def path(text):
    return "@" + text.replace(" ", "\\ ")


def build():
    command("logFile " + path(System.Environment.CurrentDirectory + "/renode.log") + " true")
    command('mach create "' + setting("BOARD") + '"')
    command("machine LoadPlatformDescription " + path(setting("PLATFORM")))
    made = list(emulationManager.CurrentEmulation.Machines)[0]  # noqa: F821
    own = made.SystemBus.WhatPeripheralIsAt(DWT)
    if own is not None:
        made.UnregisterFromParent(own)
    command("machine LoadPlatformDescription " + path(setting("COUNTER")))
    command("sysbus.cpu PerformanceInMips " + setting("MIPS"))
    # As fast as this machine can: virtual time, not the wall's, is what counts here. The quantum stays at Renode's 100
    # us: input is given between two, and a core that waits for it polls its UART all the while.
    command("emulation SetGlobalAdvanceImmediately true")
    command("sysbus LoadELF " + path(setting("ELF")))
    return made


class Link:
    """The firmware's console: bytes between ``uart`` and our stdin and stdout; knows whether an answer is owed."""

    def __init__(self, machine, uart):
        self.machine, self.uart = machine, uart
        self.line, self.owed, self.since = [], True, 0.0
        self.awake = System.Threading.ManualResetEvent(False)
        uart.CharReceived += self.sent
        for job in (self.listen, self.watch):
            thread = System.Threading.Thread(System.Threading.ThreadStart(job))
            thread.IsBackground = True
            thread.Start()

    def now(self):
        return self.machine.ElapsedVirtualTime.TimeElapsed.TotalSeconds

    def sent(self, byte):
        output.WriteByte(byte)
        if byte != 10:
            self.line.append(chr(byte))
            return
        if "".join(self.line).startswith(ANSWERS):
            self.owed = False
        self.line, self.since = [], self.now()
        self.awake.Set()

    def listen(self):
        data = System.Array.CreateInstance(System.Byte, 4096)
        source = System.Console.OpenStandardInput()
        self.awake.WaitOne()  # before its first line the receiver is off, and bytes would be lost
        while True:
            size = source.Read(data, 0, data.Length)
            if size <= 0:
                stop("its input ended")
            if 10 in list(data)[:size]:
                self.since, self.owed = self.now(), True
            # Between two steps of the core, not during one: some models lose what comes while the core reads.
            self.machine.LocalTimeSource.ExecuteInNearestSyncedState(lambda _, line=list(data)[:size]: self.take(line))

    def take(self, line):
        for byte in line:
            self.uart.WriteChar(byte)

    def watch(self):
        limit = float(setting("SECONDS"))
        while True:
            System.Threading.Thread.Sleep(50)
            if self.owed and self.now() - self.since > limit:
                stop("the firmware has said nothing for %g s of virtual time, and owes an answer" % limit)


try:
    say(emulationManager.VersionString)  # noqa: F821
    machine = build()
    link = Link(machine, machine[setting("UART")])
    say("machine")
    command("start")
except BaseException as error:
    stop(str(error))
