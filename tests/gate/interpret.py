# SPDX-License-Identifier: GPL-2.0-only
"""Steps through a loaded XDP program (RFC 9669, and what the verifier puts in),
over a packet and copies of what the kernel's maps hold. It knows what an established
packet needs; anything else is Unmodelled, by name, and never guessed at.

Addresses are made up: the upper half says which piece of memory, the lower half
where in it, so that a read outside of every piece is seen."""
import operator

from loaded import ARRAY, CALL, EXIT, HASH, LD_IMM64, PERCPU_ARRAY, Unmodelled

MASK32, MASK64 = (1 << 32) - 1, (1 << 64) - 1
STACK_BYTES = 512
ADD64_IMM = 0x07
DISTANCE_WITHIN = 4  # instructions
REDIRECTED = 4
CLASS_LD, CLASS_LDX, CLASS_ST, CLASS_STX, CLASS_ALU, CLASS_JMP, CLASS_JMP32, CLASS_ALU64 = range(8)
JA = 0x05
MODE_MEM = 0x60
TO_LE, TO_BE = 0xd4, 0xdc
MOV_PERCPU = (0xbf, -1)                   # BPF_MOV64_PERCPU_REG
CALL_HELPER, CALL_PROGRAM = 0, 1          # src of a call
IMM_VALUE, IMM_MAP, IMM_MAP_VALUE = 0, 1, 2  # src of LD_IMM64
WIDTHS = {0x00: 4, 0x08: 2, 0x10: 1, 0x18: 8}
ARITHMETIC = {0x00: operator.add, 0x10: operator.sub, 0x20: operator.mul, 0x40: operator.or_,
              0x50: operator.and_, 0xa0: operator.xor, 0xb0: lambda a, b: b}
SHIFTS = {0x60: operator.lshift, 0x70: operator.rshift, 0xc0: operator.rshift}
NEGATE, ARITHMETIC_SHIFT = 0x80, 0xc0
JUMPS = {0x10: operator.eq, 0x20: operator.gt, 0x30: operator.ge, 0x40: operator.and_,
         0x50: operator.ne, 0xa0: operator.lt, 0xb0: operator.le}
SIGNED_JUMPS = {0x60: operator.gt, 0x70: operator.ge, 0xc0: operator.lt, 0xd0: operator.le}


def signed(value, bits):
    return value - (1 << bits) if value >> (bits - 1) else value


class Memory:
    """A piece of memory of the program's, in the byte order of the machine."""

    def __init__(self, name, content, is_writable=True):
        self.name, self.content, self.is_writable = name, bytearray(content), is_writable

    def load(self, offset, width):
        if offset + width > len(self.content):
            raise Unmodelled("reads %s at %d" % (self.name, offset))
        return int.from_bytes(self.content[offset:offset + width], "little")

    def store(self, offset, width, value):
        if not self.is_writable or offset + width > len(self.content):
            raise Unmodelled("writes %s at %d" % (self.name, offset))
        self.content[offset:offset + width] = (value & (1 << 8 * width) - 1).to_bytes(
            width, "little")


class Device(Memory):
    """The kernel's struct net_device: ifindex is all that a program can ask for,
    wherever this kernel keeps it."""

    def __init__(self, ifindex):
        super().__init__("the device", b"", False)
        self.ifindex = ifindex

    def load(self, offset, width):
        return self.ifindex if width == 4 else super().load(offset, width)


class ArrayObject(Memory):
    """The kernel's struct of an array, whose elements are in it, from distance on (the
    verifier has inlined the lookup). They are copied when they are first asked for."""

    def __init__(self, content_map, distance):
        super().__init__(content_map.name, b"", False)
        self.map, self.distance, self.elements = content_map, distance, {}
        self.stride = (content_map.value_size + 7) // 8 * 8

    def element(self, offset):
        index, at = divmod(offset - self.distance, self.stride)
        if index < 0:
            raise Unmodelled("the struct of %s at %d" % (self.name, offset))
        key = index.to_bytes(4, "little")
        if key not in self.elements:
            self.elements[key] = Memory(self.name, self.map.lookup(key))
        return self.elements[key], at

    def load(self, offset, width):
        element, at = self.element(offset)
        return element.load(at, width)

    def store(self, offset, width, value):
        element, at = self.element(offset)
        element.store(at, width, value)


class MapObject(Memory):
    """The kernel's struct of a map. Of a per-CPU array its elements' addresses are
    read (the verifier has inlined the lookup); an element counts from zero here."""

    def __init__(self, machine, content_map):
        super().__init__(content_map.name, b"", False)
        self.machine, self.map, self.elements = machine, content_map, {}

    def load(self, offset, width):
        if self.map.kind != PERCPU_ARRAY or width != 8:
            return super().load(offset, width)
        if offset not in self.elements:
            element = Memory(self.name, bytes(self.map.value_size))
            self.elements[offset] = self.machine.place(element), element
        return self.elements[offset][0]


class Machine:
    """One run. After it: path, the instructions by their place; calls, by name;
    out_ifindex; the frame; what values() and counters() hold."""

    def __init__(self, program, symbols, jiffies):
        self.program, self.symbols = program, symbols
        self.pieces, self.objects, self.elements = [None], {}, {}
        self.path, self.calls, self.out_ifindex = [], [], None
        self.clock = self.place(Memory("jiffies", jiffies.to_bytes(8, "little"), False))

    def place(self, piece):
        self.pieces.append(piece)
        return len(self.pieces) - 1 << 32

    def piece(self, address):
        index = address >> 32
        if not 0 < index < len(self.pieces):
            raise Unmodelled("memory at %#x" % address)
        return self.pieces[index]

    def load(self, address, width):
        return self.piece(address).load(address & MASK32, width)

    def store(self, address, width, value):
        self.piece(address).store(address & MASK32, width, value)

    def read(self, address, size):
        return bytes(self.load(address + n, 1) for n in range(size))

    def context(self, frame, ifindex):
        """struct xdp_buff: data, data_end, data_meta, data_hard_start, rxq."""
        self.frame = Memory("the frame", frame)
        data = self.place(self.frame)
        queue = self.place(Memory("the queue", self.place(Device(ifindex)).to_bytes(8, "little"),
                                  False))
        words = data, data + len(frame), data, 0, queue
        return self.place(Memory("the context", b"".join(word.to_bytes(8, "little")
                                                         for word in words), False))

    def run(self, frame, ifindex):
        """Runs the program on a frame: its action."""
        return self._function(0, [self.context(frame, ifindex)] + [None] * 4)

    def values(self):
        """(map, key, value) of every element of a hash or an array that was found."""
        found = [(found, key, bytes(element.content[distance:]))
                 for (found, key), (_, element, distance) in self.elements.items()]
        return found + [(piece.map, key, bytes(element.content)) for piece in self.pieces
                        if isinstance(piece, ArrayObject)
                        for key, element in piece.elements.items()]

    def counters(self):
        """The elements of per-CPU arrays that were written or read."""
        return [bytes(element.content) for piece in self.pieces if isinstance(piece, MapObject)
                for _, element in piece.elements.values()]

    def _function(self, place, arguments):
        """A function from its first instruction to its exit: r0."""
        stack_top = self.place(Memory("the stack", bytes(STACK_BYTES))) + STACK_BYTES
        self.registers = [None] + arguments + [None] * 4 + [stack_top]
        while True:
            self.path.append(place)
            instruction = self.program.instructions[place]
            if instruction.code == EXIT:
                return self._get(0)
            place = self._step(place, instruction)

    def _get(self, register):
        value = self.registers[register]
        if value is None:
            raise Unmodelled("r%d, which holds nothing" % register)
        return value

    def _step(self, place, it):
        """Does one instruction: the place of the next."""
        kind = it.code & 7
        if it.code == LD_IMM64:
            self.registers[it.dst] = self._immediate(place, it)
            return place + 2
        if it.code == CALL:
            self._call(place, it)
        elif kind in (CLASS_LDX, CLASS_ST, CLASS_STX) and it.code & 0xe0 == MODE_MEM:
            self._move(it, kind)
        elif kind in (CLASS_ALU, CLASS_ALU64):
            self._compute(it, 32 if kind == CLASS_ALU else 64)
        elif it.code == JA:
            return place + 1 + it.off
        elif kind in (CLASS_JMP, CLASS_JMP32):
            return place + 1 + (it.off if self._jumps(it, 32 if kind == CLASS_JMP32 else 64) else 0)
        else:
            raise Unmodelled("instruction %d: %s" % (place, it))
        return place + 1

    def _immediate(self, place, it):
        value = self.program.wide(place)
        if it.src == IMM_VALUE:
            return self.clock if value == self.symbols.jiffies else value
        if it.src not in (IMM_MAP, IMM_MAP_VALUE):
            raise Unmodelled("instruction %d: %s" % (place, it))
        if (it.src, it.imm) not in self.objects:
            self.objects[it.src, it.imm] = self.place(self._map_piece(place, it))
        return self.objects[it.src, it.imm] + (value >> 32 if it.src == IMM_MAP_VALUE else 0)

    def _map_piece(self, place, it):
        content_map = self.program.map(it.imm)
        if it.src == IMM_MAP and content_map.kind == ARRAY:
            return ArrayObject(content_map, self._distance(place + 2, it.dst))
        if it.src == IMM_MAP:
            return MapObject(self, content_map)
        if content_map.entries != 1:
            raise Unmodelled("values of %s by address" % content_map.name)
        return Memory(content_map.name, content_map.lookup(bytes(4)))

    def _distance(self, place, register):
        """Of an inlined lookup in an array: "map += distance", the next that is done with
        the register."""
        for it in self.program.instructions[place:place + DISTANCE_WITHIN]:
            if it.dst == register:
                if it.code != ADD64_IMM:
                    break
                return it.imm
        raise Unmodelled("an array's address at instruction %d" % place)

    def _move(self, it, kind):
        width = WIDTHS[it.code & 0x18]
        if kind == CLASS_LDX:
            self.registers[it.dst] = self.load(self._get(it.src) + it.off & MASK64, width)
        else:
            value = it.imm if kind == CLASS_ST else self._get(it.src)
            self.store(self._get(it.dst) + it.off & MASK64, width, value)

    def _operand(self, it, bits):
        value = self._get(it.src) if it.code & 8 else it.imm
        return value & (1 << bits) - 1

    def _compute(self, it, bits):
        operation, mask = it.code & 0xf0, (1 << bits) - 1
        if it.code in (TO_LE, TO_BE):
            swapped = (self._get(it.dst) & (1 << it.imm) - 1).to_bytes(it.imm // 8, "little")
            value = int.from_bytes(swapped, "big" if it.code == TO_BE else "little")
        elif it.off and (it.code, it.off) != MOV_PERCPU:
            raise Unmodelled("arithmetic %s" % (it,))
        elif operation in ARITHMETIC:
            have = 0 if operation == 0xb0 else self._get(it.dst) & mask
            value = ARITHMETIC[operation](have, self._operand(it, bits))
        elif operation in SHIFTS:
            have = self._get(it.dst) & mask
            if operation == ARITHMETIC_SHIFT:
                have = signed(have, bits)
            value = SHIFTS[operation](have, self._operand(it, bits) & bits - 1)
        elif operation == NEGATE:
            value = -self._get(it.dst)
        else:
            raise Unmodelled("arithmetic %s" % (it,))
        self.registers[it.dst] = value & mask

    def _jumps(self, it, bits):
        operation, mask = it.code & 0xf0, (1 << bits) - 1
        left, right = self._get(it.dst) & mask, self._operand(it, bits)
        if operation in JUMPS:
            return JUMPS[operation](left, right)
        if operation in SIGNED_JUMPS:
            return SIGNED_JUMPS[operation](signed(left, bits), signed(right, bits))
        raise Unmodelled("jump %s" % (it,))

    def _call(self, place, it):
        """What a call leaves in r1 to r5 may not be used."""
        if it.src == CALL_PROGRAM:
            self.calls.append("subprogram")
            caller = self.registers
            result = self._function(place + 1 + it.off, caller[1:6])
            self.registers = caller
        else:
            name = self.symbols.called(it.imm) if it.src == CALL_HELPER else "a kfunc"
            self.calls.append(name)
            if name == "__htab_map_lookup_elem":
                result = self._lookup(place)
            elif name == "bpf_xdp_redirect":
                self.out_ifindex, result = self._get(1), REDIRECTED
            else:
                raise Unmodelled("call of %s" % name)
        self.registers[:6] = [result] + [None] * 5

    def _lookup(self, place):
        """The element of a hash. The program adds the distance from the element to
        its value by itself: "if r0 == 0 skip the next; r0 += distance"."""
        content_map = self.piece(self._get(1)).map
        if content_map.kind != HASH:
            raise Unmodelled("a lookup in %s" % content_map.name)
        key = self.read(self._get(2), content_map.key_size)
        if (content_map, key) not in self.elements:
            value = content_map.lookup(key)
            if value is None:
                return 0
            distance = self.program.instructions[place + 2].imm
            element = Memory(content_map.name, bytes(distance) + value)
            self.elements[content_map, key] = self.place(element), element, distance
        return self.elements[content_map, key][0]
