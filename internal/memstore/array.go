package memstore

const (
	// leaf is the number of elements in a leaf. The allocator then adds nothing
	// to a leaf of entries, and each of them is one cache line.
	leaf = 512
	fan  = 64 // of the nodes above the leaves
)

// An array is a tree of three levels with the elements in its leaves. It grows
// by one leaf at a time and moves no element. A slice would copy all elements
// when it grows, and its caller would wait for that. An array does not shrink:
// memory of a peak is used again but not freed.
type array[T any] struct {
	root []*[fan]*[leaf]T
	len  int
	// touched counts the accesses to elements. It measures the work of an
	// operation for the tests.
	touched int
}

// at returns element i, which exists until the array is as short as i again.
func (a *array[T]) at(i int) *T {
	a.touched++
	return &a.root[i/(leaf*fan)][i/leaf%fan][i%leaf]
}

// push appends an element and returns its index. The element has the zero
// value, or the value that pop left there.
func (a *array[T]) push() (i int) {
	i = a.len
	if i/(leaf*fan) == len(a.root) {
		a.root = append(a.root, new([fan]*[leaf]T))
	}
	if place := &a.root[i/(leaf*fan)][i/leaf%fan]; *place == nil {
		*place = new([leaf]T)
	}
	a.len++
	return i
}

// pop removes the last element and returns its value.
func (a *array[T]) pop() T {
	last := *a.at(a.len - 1)
	a.len--
	return last
}
